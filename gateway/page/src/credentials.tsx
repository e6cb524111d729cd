import { type FormEvent, type RefObject, useId, useState } from "react";
import { isId } from "./address.ts";
import { organizationsOf } from "./session.ts";

interface Props {
  readonly apiKey: string;
  readonly organization: string;
  readonly onEnter: (apiKey: string, organization: string) => void;
  readonly field?: RefObject<HTMLInputElement | null>;
}

/** Where a key or a token is entered, and the organization where it is good for several. */
export function KeyForm({ apiKey, organization, onEnter, field }: Props) {
  const id = useId();
  const [draft, setDraft] = useState(apiKey);
  const [chosen, setChosen] = useState(organization);
  const [shown, setShown] = useState(false);
  const offered = organizationsOf(draft);
  const fits = chosen === "" || isId(chosen);
  const enter = (event: FormEvent) => {
    event.preventDefault();
    if (fits) {
      onEnter(draft.trim(), chosen);
    }
  };
  return (
    <form className="key-form" onSubmit={enter}>
      <label htmlFor={`${id}-key`}>API key or token</label>
      <div className="with-button">
        <input
          id={`${id}-key`}
          ref={field}
          type={shown ? "text" : "password"}
          value={draft}
          onChange={({ currentTarget }) => setDraft(currentTarget.value)}
          autoComplete="off"
          spellCheck={false}
        />
        <button type="button" aria-pressed={shown} onClick={() => setShown(!shown)}>
          {shown ? "Hide" : "Show"}
        </button>
      </div>
      <label htmlFor={`${id}-organization`}>Organization</label>
      {offered.length > 1 ? (
        <select
          id={`${id}-organization`}
          value={chosen}
          onChange={({ currentTarget }) => setChosen(currentTarget.value)}
        >
          <option value="">Choose one</option>
          {offered.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
      ) : (
        <input
          id={`${id}-organization`}
          value={chosen}
          onChange={({ currentTarget }) => setChosen(currentTarget.value.trim())}
          placeholder="the key's own"
          aria-invalid={!fits}
          aria-describedby={`${id}-hint`}
          autoComplete="off"
          spellCheck={false}
        />
      )}
      <p id={`${id}-hint`} className="quiet">
        {fits ? "Kept in this browser tab only. Links never hold it." : "An organization is named by its UUID."}
      </p>
      <p className="actions">
        <button type="submit" className="primary">
          Use this key
        </button>
        {apiKey && (
          <button type="button" onClick={() => onEnter("", "")}>
            Forget it
          </button>
        )}
      </p>
    </form>
  );
}
