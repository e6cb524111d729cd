import type { ResultOf, VariablesOf } from "@graphql-typed-document-node/core";

import { type FragmentType, readFragment } from "../generated";
import { DeliveriesPageDocument, DeliveryRowFragmentDoc } from "../generated/graphql";

type Page = ResultOf<typeof DeliveriesPageDocument>;
type Variables = VariablesOf<typeof DeliveriesPageDocument>;

/** What to ask for first. */
export const late: Variables = {
  filter: { overdue: true, createdAt: { gte: "2026-05-06T10:00:00Z" }, attempts: { some: { statusCode: { gte: 500 } } } },
  orderBy: { field: "NEXT_ATTEMPT_AT", direction: "ASC" },
};

/** What to ask for next, or null after the last page. */
export function next({ callbackDeliveries: { pageInfo } }: Page, asked: Variables): Variables | null {
  return pageInfo.hasNextPage ? { ...asked, after: pageInfo.endCursor } : null;
}

/** One line of the table. */
export function line(masked: FragmentType<typeof DeliveryRowFragmentDoc>): string {
  const delivery = readFragment(DeliveryRowFragmentDoc, masked);
  const day: string = delivery.createdAt.slice(0, 10);
  const seconds: number = (delivery.payload?.durationMs ?? 0) / 1000;
  const answer: number | null = delivery.latestAttempt?.statusCode ?? null;
  const advice: string = delivery.failure?.advice ?? "";
  return [day, delivery.statusCode ?? "unknown", seconds, answer ?? "no answer", advice].join(" ");
}

/** The whole table under its heading. */
export function table({ callbackDeliveries, callbackStats }: Page): string[] {
  const { value, precision } = callbackDeliveries.totalCount;
  const count = precision === "CAPPED" ? `more than ${value}` : `${value}`;
  const rate = callbackStats.successRate === null ? "" : `, ${(100 * callbackStats.successRate).toFixed(1)} % delivered`;
  return [`${count} deliveries${rate}`, ...callbackDeliveries.nodes.map(line)];
}
