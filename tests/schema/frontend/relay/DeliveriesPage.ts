import { graphql } from "relay-runtime";

import type { DeliveriesPage_deliveries$data } from "./__generated__/DeliveriesPage_deliveries.graphql";
import type { DeliveriesPage_delivery$data } from "./__generated__/DeliveriesPage_delivery.graphql";

export const page = graphql`
  query DeliveriesPageQuery($filter: CallbackDeliveryFilter, $orderBy: CallbackDeliveryOrder!) {
    viewer {
      organization {
        name
      }
    }
    callbackStats(filter: $filter) {
      successRate
      timeline(bucket: HOUR) {
        start
        deliveries
      }
    }
    ...DeliveriesPage_deliveries @arguments(filter: $filter, orderBy: $orderBy)
  }
`;

export const deliveries = graphql`
  fragment DeliveriesPage_deliveries on Query
  @argumentDefinitions(
    first: { type: "Int", defaultValue: 25 }
    after: { type: "String" }
    filter: { type: "CallbackDeliveryFilter" }
    orderBy: { type: "CallbackDeliveryOrder", defaultValue: { field: CREATED_AT, direction: DESC } }
  )
  @refetchable(queryName: "DeliveriesPagePaginationQuery") {
    callbackDeliveries(first: $first, after: $after, filter: $filter, orderBy: $orderBy)
    @connection(key: "DeliveriesPage_callbackDeliveries", filters: ["filter", "orderBy"]) {
      totalCount {
        value
        precision
      }
      pageInfo {
        hasNextPage
        hasPreviousPage
        startCursor
        endCursor
      }
      edges {
        cursor
        node {
          batchId
          ...DeliveriesPage_delivery
        }
      }
    }
  }
`;

export const delivery = graphql`
  fragment DeliveriesPage_delivery on BatchCallbackDelivery @refetchable(queryName: "DeliveriesPageDeliveryQuery") {
    statusCode
    createdAt
    failure {
      title
      retryable
    }
    nextAttemptAt
    payload {
      event
      durationMs
      metadata
    }
    batch {
      ...DeliveriesPage_batch
    }
    attempts(first: 5) {
      attemptNumber
      statusCode
      responseTimeMs
      errorMessage
      createdAt
    }
  }
`;

export const batch = graphql`
  fragment DeliveriesPage_batch on Batch @refetchable(queryName: "DeliveriesPageBatchQuery") {
    statusCode
    durationMs
    metadata
    callbackHealth
    callbackDeliveryCount(filter: { inFlight: true })
  }
`;

/** The heading of the table. */
export function heading({ callbackDeliveries }: DeliveriesPage_deliveries$data): string {
  const { value, precision } = callbackDeliveries.totalCount;
  return `${callbackDeliveries.edges.length} of ${precision === "CAPPED" ? "more than " : ""}${value}`;
}

/** One line of the table. */
export function line(delivery: DeliveriesPage_delivery$data): string {
  const day: string = delivery.createdAt.slice(0, 10);
  const seconds: number = (delivery.payload?.durationMs ?? 0) / 1000;
  return [day, seconds, ...delivery.attempts.map((attempt) => attempt.statusCode ?? "no answer")].join(" ");
}
