// Everything that is filtered by stands in the address, so that a link shows the same to a colleague. No credential does.

/** What the page shows: the filters, the time zone, and the delivery that is open. */
export interface View {
  /** How far back from now, such as `7d`; `all`; or `custom`, with `from` and `to`. */
  readonly range: string;
  readonly from: string;
  readonly to: string;
  readonly status: readonly string[];
  readonly reason: readonly string[];
  readonly host: readonly string[];
  readonly event: readonly string[];
  /** `404`, a class such as `5xx`, or `none` for attempts without an answer. */
  readonly http: string;
  /** `true`, `false` or empty. */
  readonly automatic: string;
  /** `inFlight`, `overdue` or empty. */
  readonly state: string;
  readonly batch: string;
  readonly url: string;
  readonly error: string;
  /** `customer.tier=gold`: the keys that lead to a value of the batch's metadata, and the value. */
  readonly metadata: string;
  /** An IANA name; empty for the viewer's own. */
  readonly zone: string;
  /** The delivery that is open; empty for the list. */
  readonly delivery: string;
}

export const RANGES: Readonly<Record<string, { label: string; hours: number }>> = {
  "24h": { label: "Last 24 hours", hours: 24 },
  "7d": { label: "Last 7 days", hours: 7 * 24 },
  "30d": { label: "Last 30 days", hours: 30 * 24 },
  "90d": { label: "Last 90 days", hours: 90 * 24 },
};
export const DEFAULT_RANGE = "7d";
export const ALL = "all";
export const CUSTOM = "custom";

export const MANY = ["status", "reason", "host", "event"] as const;
export const ONE = ["http", "automatic", "state", "batch", "url", "error", "metadata"] as const;
export type Many = (typeof MANY)[number];
export type One = (typeof ONE)[number];

export const EMPTY: View = {
  range: DEFAULT_RANGE,
  from: "",
  to: "",
  status: [],
  reason: [],
  host: [],
  event: [],
  http: "",
  automatic: "",
  state: "",
  batch: "",
  url: "",
  error: "",
  metadata: "",
  zone: "",
  delivery: "",
};

const HTTP = /^([1-5]xx|[1-5]\d\d|none)$/;
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

export const isId = (text: string): boolean => UUID.test(text);

/** What an address says; what it says wrongly is left out. */
export function readAddress(search: string): View {
  const given = new URLSearchParams(search);
  const one = (name: string) => given.get(name) ?? "";
  const among = (name: string, allowed: (text: string) => boolean) => (allowed(one(name)) ? one(name) : "");
  const many = (name: string) => [...new Set(given.getAll(name).filter(Boolean))].sort();
  const from = among("from", isInstant);
  const to = among("to", isInstant);
  const range = one("range");
  return {
    range: from && to ? CUSTOM : range in RANGES || range === ALL ? range : DEFAULT_RANGE,
    from: from && to ? from : "",
    to: from && to ? to : "",
    status: many("status"),
    reason: many("reason"),
    host: many("host"),
    event: many("event"),
    http: among("http", (text) => HTTP.test(text)),
    automatic: among("automatic", (text) => text === "true" || text === "false"),
    state: among("state", (text) => text === "inFlight" || text === "overdue"),
    batch: among("batch", isId),
    url: one("url"),
    error: one("error"),
    metadata: among("metadata", (text) => splitMetadata(text) !== null),
    zone: among("zone", isZone),
    delivery: among("delivery", isId),
  };
}

/** The address of a view, without what it shows anyway. */
export function writeAddress(view: View): string {
  const told = new URLSearchParams();
  if (view.range === CUSTOM) {
    told.set("from", view.from);
    told.set("to", view.to);
  } else if (view.range !== DEFAULT_RANGE) {
    told.set("range", view.range);
  }
  for (const name of MANY) {
    for (const value of view[name]) {
      told.append(name, value);
    }
  }
  for (const name of [...ONE, "zone", "delivery"] as const) {
    if (view[name]) {
      told.set(name, view[name]);
    }
  }
  return told.size ? `?${told}` : location.pathname;
}

/** The same view without any filter but the time. */
export function cleared(view: View): View {
  return { ...EMPTY, range: view.range, from: view.from, to: view.to, zone: view.zone };
}

export function isFiltered(view: View): boolean {
  return MANY.some((name) => view[name].length > 0) || ONE.some((name) => view[name] !== "");
}

/** The path and the value of `customer.tier=gold`; a number, `true` and `false` are taken for what they are. */
export function splitMetadata(text: string): { path: string[]; eq: string | number | boolean } | null {
  const at = text.indexOf("=");
  const path = text
    .slice(0, at)
    .split(".")
    .map((key) => key.trim());
  const value = text.slice(at + 1).trim();
  if (at < 1 || value === "" || path.some((key) => key === "")) {
    return null;
  }
  const quoted = /^"(.*)"$/.exec(value)?.[1];
  if (quoted !== undefined) {
    return { path, eq: quoted };
  }
  if (value === "true" || value === "false") {
    return { path, eq: value === "true" };
  }
  return { path, eq: /^-?\d{1,15}(\.\d+)?$/.test(value) ? Number(value) : value };
}

function isInstant(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT/.test(text) && !Number.isNaN(Date.parse(text));
}

export function isZone(text: string): boolean {
  try {
    return text === "" || Boolean(new Intl.DateTimeFormat("en", { timeZone: text }));
  } catch {
    return false;
  }
}
