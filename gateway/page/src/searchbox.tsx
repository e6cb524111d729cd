import { type FormEvent, type RefObject, useState } from "react";
import type { View } from "./address.ts";
import { KINDS, type Kind, kindOf, searched } from "./search.ts";

interface Props {
  readonly view: View;
  readonly field: RefObject<HTMLInputElement | null>;
  readonly onView: (view: View) => void;
  readonly onFind: (id: string) => Promise<string | null>;
}

/** One box for whatever somebody has in hand: it says how it takes the text, and lets that be changed. */
export function SearchBox({ view, field, onView, onFind }: Props) {
  const [text, setText] = useState("");
  const [wanted, setWanted] = useState<Kind | "">("");
  const [complaint, setComplaint] = useState("");
  const kind = wanted || kindOf(text);
  const search = async (event: FormEvent) => {
    event.preventDefault();
    setComplaint("");
    if (!text.trim()) {
      return;
    }
    const next = searched(view, kind, text);
    if (next) {
      onView(next);
      setText("");
      setWanted("");
      return;
    }
    const failed =
      kind === "id" ? await onFind(text.trim()) : "Metadata is searched as key=value or customer.tier=gold.";
    setComplaint(failed ?? "");
    if (failed === null) {
      setText("");
    }
  };
  return (
    <search>
      <form className="search" onSubmit={search}>
        <select
          aria-label="Search in"
          value={wanted}
          onChange={({ currentTarget }) => setWanted(currentTarget.value as Kind | "")}
        >
          <option value="">{text.trim() ? KINDS[kindOf(text)] : "Search"}</option>
          {Object.entries(KINDS).map(([name, label]) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
        </select>
        <input
          ref={field}
          type="search"
          aria-label="Search deliveries"
          aria-keyshortcuts="/"
          placeholder="Id, URL, host, error text or key=value"
          value={text}
          onChange={({ currentTarget }) => setText(currentTarget.value)}
          spellCheck={false}
          autoComplete="off"
        />
        <button type="submit">Search</button>
      </form>
      <p className="complaint" role="status">
        {complaint}
      </p>
    </search>
  );
}
