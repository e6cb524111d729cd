// What a body is, and how its text is coloured. It is shown as text whatever it holds: nothing of it is ever run.

export type BodyKind = "json" | "html" | "binary" | "text" | "empty";
export interface Piece {
  readonly kind: "key" | "string" | "number" | "word" | "tag" | "plain";
  readonly text: string;
}

const JSON_TOKENS =
  /("(?:[^"\\\n]|\\.)*"?)(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b|[^"\d\-tfn]+|[\s\S]/g;
const TAGS = /<!--[\s\S]*?(?:-->|$)|<[/!?]?[a-zA-Z][^<>]*>?|[^<]+|</g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what tells binary from text
const CONTROL = /[\x00-\x08\x0e-\x1f\ufffd]/g;
export const HEX_ROWS = 64;

export function bodyKind(text: string): BodyKind {
  const trimmed = text.trimStart();
  if (!trimmed) {
    return "empty";
  }
  if ((text.slice(0, 2_000).match(CONTROL)?.length ?? 0) > 0) {
    return "binary";
  }
  if (/^[[{]/.test(trimmed)) {
    return "json";
  }
  return /^<(?:!doctype|html|head|body|\?xml|[a-z][\w-]*[\s>/])/i.test(trimmed) ? "html" : "text";
}

/** JSON with one value a line, where it is whole; else as it is. */
export function indented(text: string): string {
  try {
    // Numbers beyond what JavaScript holds would change: such a body stays as it was sent.
    return /\d{16}/.test(text) ? text : JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export function pieces(text: string, kind: BodyKind): Piece[] {
  if (kind === "json") {
    return [...text.matchAll(JSON_TOKENS)].flatMap(([whole, string, colon, number, word]): Piece[] => {
      if (string !== undefined) {
        return colon === undefined
          ? [{ kind: "string", text: string }]
          : [
              { kind: "key", text: string },
              { kind: "plain", text: colon },
            ];
      }
      return [{ kind: number ? "number" : word ? "word" : "plain", text: whole }];
    });
  }
  if (kind === "html") {
    return [...text.matchAll(TAGS)].map(([whole]) => ({ kind: /^<./.test(whole) ? "tag" : "plain", text: whole }));
  }
  return [{ kind: "plain", text }];
}

/** Bytes in rows of sixteen: `00000010  48 65 …  |He…|` */
export function hexRows(text: string): string[] {
  const encoded = new TextEncoder().encode(text);
  const rows: string[] = [];
  for (let at = 0; at < encoded.length && rows.length < HEX_ROWS; at += 16) {
    const row = [...encoded.subarray(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const shown = row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    rows.push(`${at.toString(16).padStart(8, "0")}  ${hex.padEnd(47)}  |${shown}|`);
  }
  return rows;
}
