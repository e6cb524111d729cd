import { useId, useMemo, useState } from "react";
import { Copy } from "./copy.tsx";
import type { Preview } from "./documents.ts";
import { type BodyKind, bodyKind, HEX_ROWS, hexRows, indented, pieces } from "./text.ts";
import { bytes } from "./time.ts";

const KINDS: Readonly<Record<BodyKind, string>> = {
  json: "JSON",
  html: "HTML, as text",
  binary: "Binary, as hex",
  text: "Text",
  empty: "Empty",
};
const COLOURED = 200_000; // characters beyond which colours would cost more than they tell

interface Props {
  readonly label: string;
  readonly preview: Preview | null;
  readonly nothing: string;
  /** Asks for all of it; null where that failed. */
  readonly onWhole: () => Promise<string | null>;
}

/** A body as it was sent or came back: its beginning, and all of it on request. */
export function Body({ label, preview, nothing, onWhole }: Props) {
  const id = useId();
  const [whole, setWhole] = useState<string | null>(null);
  const [state, setState] = useState<"" | "asked" | "failed">("");
  const [raw, setRaw] = useState(false);
  if (!preview || preview.byteLength === 0) {
    return <p className="quiet">{nothing}</p>;
  }
  const text = whole ?? preview.text;
  const kind = bodyKind(text);
  const cut = preview.truncated && whole === null;
  const ask = async () => {
    setState("asked");
    const answer = await onWhole();
    setWhole(answer);
    setState(answer === null ? "failed" : "");
  };
  return (
    <div className="body">
      <p className="bar">
        <span id={id} className="quiet">
          {KINDS[kind]}, {bytes(preview.byteLength)}
          {cut && `, the first ${bytes(new TextEncoder().encode(preview.text).length)} shown`}
        </span>
        {kind === "json" && !cut && (
          <button type="button" aria-pressed={raw} onClick={() => setRaw(!raw)}>
            As it was
          </button>
        )}
        <Copy text={text} label={cut ? "Copy what is shown" : "Copy"} />
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <pre role="region" aria-label={label} aria-describedby={id} tabIndex={0}>
        <Coloured text={kind === "json" && !raw && !cut ? indented(text) : text} kind={kind} />
        {cut && <span className="cut"> … cut here</span>}
      </pre>
      {cut && (
        <p className="bar">
          <button type="button" onClick={ask} disabled={state === "asked"}>
            {state === "asked" ? "Asking …" : `Show all ${bytes(preview.byteLength)}`}
          </button>
          <span role="status">{state === "failed" && "It could not be had. Try again."}</span>
        </p>
      )}
    </div>
  );
}

function Coloured({ text, kind }: { text: string; kind: BodyKind }) {
  const parts = useMemo(() => (text.length > COLOURED ? [] : pieces(text, kind)), [text, kind]);
  if (kind === "binary") {
    const rows = hexRows(text);
    return `${rows.join("\n")}${rows.length === HEX_ROWS ? "\n…" : ""}`;
  }
  if (parts.length === 0) {
    return text;
  }
  return parts.map((part, index) =>
    part.kind === "plain" ? (
      part.text
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: pieces of one text never change places
      <span key={index} className={`t-${part.kind}`}>
        {part.text}
      </span>
    ),
  );
}
