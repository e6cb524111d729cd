// Instants in the time zone that the viewer chose, and lengths of time in words.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const formats = new Map<string, Intl.DateTimeFormat>();

export const ownZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

function format(zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = zone + JSON.stringify(options);
  const made = formats.get(key) ?? new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
  formats.set(key, made);
  return made;
}

/** `9 May 2026, 14:03:27` */
export function atSecond(instant: string | number, zone: string): string {
  return format(zone, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(instant));
}

/** `Sat 9 May, 14:00` */
export function atMinute(instant: string | number, zone: string): string {
  const parts = { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" } as const;
  return format(zone, parts).format(new Date(instant));
}

/** `Sat 9 May` */
export function onDay(instant: string | number, zone: string): string {
  return format(zone, { weekday: "short", day: "numeric", month: "short" }).format(new Date(instant));
}

/** `14:00` */
export function atTime(instant: string | number, zone: string): string {
  return format(zone, { hour: "2-digit", minute: "2-digit" }).format(new Date(instant));
}

/** `9 May` */
export function shortDay(instant: string | number, zone: string): string {
  return format(zone, { day: "numeric", month: "short" }).format(new Date(instant));
}

/** A length of time in its two largest units: `2 min 13 s`, `3 h 5 min`, `480 ms`. */
export function lasting(milliseconds: number): string {
  const length = Math.max(0, Math.round(milliseconds));
  if (length < SECOND) {
    return `${length} ms`;
  }
  if (length < 10 * SECOND) {
    return `${(length / SECOND).toFixed(1)} s`;
  }
  if (length < MINUTE) {
    return `${Math.round(length / SECOND)} s`;
  }
  const [large, small, first, second] =
    length < HOUR ? [MINUTE, SECOND, "min", "s"] : length < DAY ? [HOUR, MINUTE, "h", "min"] : [DAY, HOUR, "d", "h"];
  const whole = Math.floor(length / Number(large));
  const rest = Math.floor((length - whole * Number(large)) / Number(small));
  return rest ? `${whole} ${first} ${rest} ${second}` : `${whole} ${first}`;
}

/** How long ago, in its largest unit: `3 min ago`, `2 d ago`. */
export function ago(instant: string, now: number): string {
  const length = now - Date.parse(instant);
  if (length < MINUTE) {
    return "just now";
  }
  const [size, unit] = length < HOUR ? [MINUTE, "min"] : length < DAY ? [HOUR, "h"] : [DAY, "d"];
  return `${Math.floor(length / Number(size))} ${unit} ago`;
}

export const milliseconds = (value: number | null | undefined): string =>
  value === null || value === undefined ? "–" : value < 10_000 ? `${value.toLocaleString("en")} ms` : lasting(value);

export const percent = (share: number | null): string =>
  share === null ? "–" : `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;

export const count = (value: number): string => value.toLocaleString("en");

export const compact = (value: number): string =>
  value < 10_000
    ? count(value)
    : new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);

export function bytes(length: number): string {
  if (length < 1024) {
    return `${length} B`;
  }
  return length < 1024 ** 2 ? `${(length / 1024).toFixed(1)} KiB` : `${(length / 1024 ** 2).toFixed(1)} MiB`;
}
