// From a view to the variables of its documents.
import { ALL, CUSTOM, RANGES, type View } from "./address.ts";
import type { Filter } from "./documents.ts";
import type { DeliveriesQueryVariables } from "./operations.ts";

const HOUR = 3_600_000;
const HOURLY_UP_TO = 8 * 24 * HOUR;
export const PAGE_SIZE = 100;
export const EVENTS = {
  succeeded: "batch.succeeded",
  partial: "batch.partial_succeeded",
  failed: "batch.failed",
  cancelled: "batch.cancelled",
} as const;

export interface Span {
  readonly gte?: string;
  readonly lt?: string;
}

/** From when to when a view reaches. What reaches back from now begins at a full minute, and has no end. */
export function spanOf(view: View, now: number): Span {
  if (view.range === CUSTOM) {
    return { gte: view.from, lt: view.to };
  }
  const hours = RANGES[view.range]?.hours;
  if (view.range === ALL || hours === undefined) {
    return {};
  }
  const minute = Math.floor(now / 60_000) * 60_000;
  return { gte: new Date(minute - hours * HOUR).toISOString() };
}

/** The filter of a view. `batches` are those that a search by metadata found. */
export function filterOf(view: View, now: number, batches: readonly string[] | null = null): Filter {
  const span = spanOf(view, now);
  const attempt = {
    ...(view.http && { statusCode: httpFilter(view.http) }),
    ...(view.error && { errorMessage: { contains: view.error } }),
  };
  return {
    ...((span.gte || span.lt) && { createdAt: span }),
    ...(view.status.length && { statusCode: { in: [...view.status] } }),
    ...(view.reason.length && { failureReasonCode: { in: [...view.reason] } }),
    ...(view.host.length && { callbackHost: { in: [...view.host] } }),
    ...(view.event.length && { event: { in: [...view.event] } }),
    ...(view.automatic && { isAutomatic: view.automatic === "true" }),
    ...(view.state === "inFlight" && { inFlight: true }),
    ...(view.state === "overdue" && { overdue: true }),
    ...((view.batch || batches) && {
      batchId: { ...(view.batch && { eq: view.batch }), ...(batches && { in: [...batches] }) },
    }),
    ...(view.url && { callbackUrl: { startsWith: view.url } }),
    ...(Object.keys(attempt).length && { attempts: { some: attempt } }),
  } as Filter;
}

function httpFilter(http: string): object {
  if (http === "none") {
    return { isNull: true };
  }
  const hundreds = Number(http[0]) * 100;
  return http.endsWith("xx") ? { gte: hundreds, lt: hundreds + 100 } : { eq: Number(http) };
}

/** Hours up to eight days, else days. */
export function bucketOf(view: View, now: number): "HOUR" | "DAY" {
  const { gte, lt } = spanOf(view, now);
  return gte && (lt ? Date.parse(lt) : now) - Date.parse(gte) <= HOURLY_UP_TO ? "HOUR" : "DAY";
}

/**
 * The variables of the first view. A facet that is filtered by is counted without its own filter, so that it still
 * shows what else there is; only such facets are asked for twice.
 */
export function variablesOf(
  view: View,
  now: number,
  timeZone: string,
  batches: readonly string[] | null = null,
): DeliveriesQueryVariables {
  const without = (change: Partial<View>) => filterOf({ ...view, ...change }, now, batches);
  return {
    filter: filterOf(view, now, batches),
    first: PAGE_SIZE,
    bucket: bucketOf(view, now),
    timeZone,
    succeeded: without({ event: [EVENTS.succeeded] }),
    failed: without({ event: [EVENTS.failed] }),
    cancelled: without({ event: [EVENTS.cancelled] }),
    partial: without({ event: [EVENTS.partial] }),
    automatic: without({ automatic: "true" }),
    byHand: without({ automatic: "false" }),
    ...(view.status.length ? { anyStatus: without({ status: [] }), hasStatus: true } : { hasStatus: false }),
    ...(view.reason.length ? { anyReason: without({ reason: [] }), hasReason: true } : { hasReason: false }),
    ...(view.host.length ? { anyHost: without({ host: [] }), hasHost: true } : { hasHost: false }),
    ...(view.http ? { anyHttp: without({ http: "" }), hasHttp: true } : { hasHttp: false }),
  };
}
