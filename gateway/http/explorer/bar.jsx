import { useEffect, useId, useState } from "react";
import { ChevronDownIcon, DropdownMenu, Tooltip, UnStyledButton } from "@graphiql/react";
import { config } from "./config.js";

const PAUSE = 600; // Milliseconds without a keystroke until a field's text counts as entered.
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

export function isOrganization(text) {
  return text === "" || UUID.test(text);
}

/** The slim bar above GraphiQL: ready questions, the key, the organization and the link. */
export function Bar({ apiKey, onApiKey, organization, onOrganization, notice, onQuestion, onShare }) {
  return (
    <header className="graphiql-container explorer-bar">
      <h1 className="explorer-title">{config.title}</h1>
      <Gallery onQuestion={onQuestion} />
      <form className="explorer-credentials" onSubmit={(event) => event.preventDefault()}>
        <KeyField value={apiKey} onEnter={onApiKey} />
        <OrganizationField value={organization} onEnter={onOrganization} />
      </form>
      <ShareButton onShare={onShare} />
      <p className="explorer-notice" role="status">
        {notice}
      </p>
    </header>
  );
}

function Gallery({ onQuestion }) {
  return (
    <DropdownMenu>
      <DropdownMenu.Button className="explorer-button" aria-label="Ready questions">
        Questions
        <ChevronDownIcon aria-hidden="true" />
      </DropdownMenu.Button>
      <DropdownMenu.Content className="explorer-gallery">
        {config.gallery.map((question) => (
          <DropdownMenu.Item key={question.name} onSelect={() => onQuestion(question)}>
            <strong>{question.title}</strong>
            <span>{question.description}</span>
          </DropdownMenu.Item>
        ))}
      </DropdownMenu.Content>
    </DropdownMenu>
  );
}

/** A text field that reports its text on Enter, on leaving it, and after a pause in typing. */
function Field({ caption, label, value, onEnter, children, ...input }) {
  const [draft, setDraft] = useState(value);
  const enter = () => onEnter(draft.trim());
  useEffect(() => {
    const timer = setTimeout(enter, PAUSE);
    return () => clearTimeout(timer);
  }, [draft]);
  return (
    <div className="explorer-field">
      <label>
        <span aria-hidden="true">{caption}</span>
        <input
          aria-label={label}
          autoComplete="off"
          spellCheck={false}
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
          onBlur={enter}
          onKeyDown={(event) => event.key === "Enter" && enter()}
          {...input}
        />
      </label>
      {children}
    </div>
  );
}

function KeyField({ value, onEnter }) {
  const [shown, setShown] = useState(false);
  const label = shown ? "Hide the API key" : "Show the API key";
  return (
    <Field
      caption="Key"
      label="API key"
      placeholder="none"
      type={shown ? "text" : "password"}
      value={value}
      onEnter={onEnter}
    >
      <Tooltip label={label}>
        <UnStyledButton type="button" aria-label={label} aria-pressed={shown} onClick={() => setShown(!shown)}>
          <EyeIcon crossed={shown} />
        </UnStyledButton>
      </Tooltip>
    </Field>
  );
}

function OrganizationField({ value, onEnter }) {
  const list = useId();
  return (
    <Field
      caption="Organization"
      label="Organization id"
      placeholder="the key's own"
      value={value}
      onEnter={onEnter}
      list={list}
      aria-invalid={!isOrganization(value)}
    >
      <datalist id={list}>
        {config.organizations.map(({ id, name }) => (
          <option key={id} value={id} label={name} />
        ))}
      </datalist>
    </Field>
  );
}

function ShareButton({ onShare }) {
  const [done, setDone] = useState("");
  useEffect(() => {
    const timer = done && setTimeout(() => setDone(""), 3000);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <Tooltip label="Put a link to this question into the address bar and the clipboard. Keys are left out.">
      <UnStyledButton
        type="button"
        className="explorer-button"
        aria-live="polite"
        onClick={async () => setDone((await onShare()) ? "Link copied" : "In address bar")}
      >
        <LinkIcon />
        {done || "Share"}
      </UnStyledButton>
    </Tooltip>
  );
}

function EyeIcon({ crossed }) {
  return (
    <svg viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.3" aria-hidden="true">
      <path d="M1 8c1.6-3 4-4.5 7-4.5S13.4 5 15 8c-1.6 3-4 4.5-7 4.5S2.6 11 1 8Z" />
      <circle cx="8" cy="8" r="2.2" />
      {crossed && <path d="M2.5 13.5l11-11" />}
    </svg>
  );
}

function LinkIcon() {
  return (
    <svg viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.4" aria-hidden="true">
      <path d="M6.5 9.5l3-3" />
      <path d="M7.5 4.5l1.8-1.8a2.8 2.8 0 0 1 4 4L11.5 8.5" />
      <path d="M8.5 11.5l-1.8 1.8a2.8 2.8 0 0 1-4-4L4.5 7.5" />
    </svg>
  );
}
