import { graphql } from "relay-runtime";

import type { AnythingQuery$data } from "./__generated__/AnythingQuery.graphql";

export const anything = graphql`
  query AnythingQuery($id: ID!, $others: [ID!]!) {
    node(id: $id) {
      __typename
      id
      ...DeliveriesPage_batch @alias(as: "batch")
      ...DeliveriesPage_delivery @alias(as: "delivery")
      ... on BatchCallbackDeliveryAttempt {
        attemptNumber
      }
    }
    nodes(ids: $others) {
      __typename
      ...DeliveriesPage_delivery @alias(as: "delivery")
    }
  }
`;

/** What stands behind an id, for a heading. */
export function heading({ node }: AnythingQuery$data): string {
  switch (node?.__typename) {
    case "BatchCallbackDeliveryAttempt":
      return `attempt ${node.attemptNumber}`;
    case undefined:
      return "nothing";
    default:
      return node?.batch ? "batch" : "delivery";
  }
}
