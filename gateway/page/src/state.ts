// How a delivery stands, in a word, a sign and a tone: never by a colour alone.

export type Tone = "good" | "bad" | "waiting" | "late" | "plain";

export interface State {
  readonly word: string;
  readonly tone: Tone;
}

export interface Standing {
  readonly statusCode: string | null;
  readonly inFlight: boolean;
  readonly overdue: boolean;
}

export function stateOf({ statusCode, inFlight, overdue }: Standing): State {
  if (overdue) {
    return { word: "Overdue", tone: "late" };
  }
  if (inFlight) {
    return { word: words(statusCode ?? "in flight"), tone: "waiting" };
  }
  if (statusCode === "delivered") {
    return { word: "Delivered", tone: "good" };
  }
  return { word: words(statusCode ?? "unknown"), tone: statusCode === "failed" ? "bad" : "plain" };
}

/** A code of the platform as words: `connection_refused` is `Connection refused`. */
export function words(code: string): string {
  const text = code
    .replace(/^batch\./, "")
    .replaceAll("_", " ")
    .replace(/\b(dns|http|tls|url)\b/g, (name) => name.toUpperCase());
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The host and the path of a URL as it is shown: `hooks.example` and `/in?token=[masked]`. */
export function splitUrl(url: string | null): { host: string; path: string } {
  const found = /^[a-z]+:\/\/(?:[^/?#]*@)?([^/?#]*)(.*)$/i.exec(url ?? "");
  return found ? { host: found[1] ?? "", path: found[2] ?? "" } : { host: url ?? "no URL", path: "" };
}
