// What a text in the search box may mean.
import { isId, splitMetadata, type View } from "./address.ts";

export const KINDS = {
  id: "Delivery or batch",
  url: "URL begins with",
  host: "Host",
  metadata: "Metadata",
  error: "Error text",
} as const;
export type Kind = keyof typeof KINDS;

/** The likeliest meaning: an id, a URL, `key=value`, a host, else a part of an error message. */
export function kindOf(text: string): Kind {
  const typed = text.trim();
  if (isId(typed)) {
    return "id";
  }
  if (/^https?:\/\//i.test(typed)) {
    return "url";
  }
  if (/^[\w-]+(\.[\w-]+)*\s*=/.test(typed) && splitMetadata(typed)) {
    return "metadata";
  }
  return /^(?=.*[a-z])[a-z\d-]+(\.[a-z\d-]+)+(:\d+)?$/i.test(typed) || /^localhost(:\d+)?$/.test(typed)
    ? "host"
    : "error";
}

/** The view that a search leads to; null where an id has to be looked up first, or the text does not fit. */
export function searched(view: View, kind: Kind, text: string): View | null {
  const typed = text.trim();
  switch (kind) {
    case "id":
      return null;
    case "url":
      return { ...view, url: typed };
    case "host":
      return { ...view, host: [...new Set([...view.host, typed.toLowerCase()])].sort() };
    case "metadata":
      return splitMetadata(typed) && { ...view, metadata: typed };
    case "error":
      return { ...view, error: typed };
  }
}
