// What went wrong with a request, and what to do next.
import type { CombinedError } from "urql";

export type Remedy = "key" | "organization" | "narrow" | "retry" | "newest" | "none";

export interface Failure {
  readonly title: string;
  readonly advice: string;
  readonly remedy: Remedy;
  /** Seconds until it makes sense to ask again; null where only a person can tell. */
  readonly retryAfter: number | null;
  /** The gateway's id of the request, for those who run it. */
  readonly requestId: string | null;
}

const WAIT = 5;

export function failureOf(error: CombinedError, hasKey: boolean): Failure {
  const response = error.response as Response | undefined;
  const first = error.graphQLErrors[0];
  const code = String(first?.extensions?.code ?? "");
  const requestId = response?.headers?.get("X-Request-Id") ?? null;
  const retryAfter = Number(response?.headers?.get("Retry-After")) || WAIT;
  const told = (title: string, advice: string, remedy: Remedy, wait: number | null = null): Failure => ({
    title,
    advice,
    remedy,
    retryAfter: wait,
    requestId,
  });
  switch (code) {
    case "UNAUTHORIZED":
      return hasKey
        ? told("The gateway does not accept this key", "It is unknown, revoked or expired. Enter another one.", "key")
        : told(
            "Enter a key to see deliveries",
            "An API key or a token of your organization. It is kept in this browser tab only, and never in a link.",
            "key",
          );
    case "PERMISSION_DENIED":
      if (/startsWith/.test(first?.message ?? "")) {
        return told(
          "This key may search URLs by whole segments only",
          "End the text with the / behind a host or a segment, such as https://hooks.example/in/, or search for the host.",
          "none",
        );
      }
      return told(
        "This key may not read deliveries",
        `${first?.message ?? ""} Ask whoever made it for one with the scope batches:read, or enter another.`.trim(),
        "key",
      );
    case "EMAIL_NOT_VERIFIED":
      return told("Your email address is not confirmed", "Confirm it where you sign in, then take a new token.", "key");
    case "ORGANIZATION_MEMBERSHIP_REQUIRED":
    case "ROLE_UNRESOLVED":
      return told(
        "This key does not belong to that organization",
        "Choose another organization, or leave the field empty for the key's own.",
        "organization",
      );
    case "BAD_REQUEST":
      return /organi[sz]ation/i.test(first?.message ?? "")
        ? told("Choose an organization", first?.message ?? "", "organization")
        : told("The gateway does not understand this question", first?.message ?? "", "none");
    case "DEADLINE_EXCEEDED":
      return told(
        "The answer took too long",
        "So many deliveries cannot be counted in the time a request has. Ask for a shorter time, or for one host.",
        "narrow",
      );
    case "RATE_LIMITED":
      return told("Too many requests with this key", "Others may use the same key.", "retry", retryAfter);
    case "OVERLOADED":
      return told("The gateway has too much to do", "Its database answers others first.", "retry", retryAfter);
    case "UNAVAILABLE":
      return told("The database does not answer", "Deliveries go on without it.", "retry", retryAfter);
    case "BAD_CURSOR":
      return told("The list has changed", "Begin again with the newest.", "newest");
  }
  if (error.networkError && !response) {
    return told("The gateway cannot be reached", "Is your network up? Is the gateway?", "retry", WAIT);
  }
  if (response && response.status >= 502 && response.status <= 504) {
    return told("The gateway cannot be reached", `What stands before it answered ${response.status}.`, "retry", WAIT);
  }
  return told("The gateway failed", first?.message ?? error.message, "retry");
}
