// The documents of the page, each with the types that graphql-codegen made for it (`operations.ts`).
import type { TypedDocumentNode } from "urql";
import deliveries from "../documents/Deliveries.graphql";
import delivery from "../documents/Delivery.graphql";
import exported from "../documents/Export.graphql";
import find from "../documents/Find.graphql";
import findByMetadata from "../documents/FindByMetadata.graphql";
import liveDeliveries from "../documents/LiveDeliveries.graphql";
import liveDelivery from "../documents/LiveDelivery.graphql";
import more from "../documents/MoreDeliveries.graphql";
import redeliver from "../documents/Redeliver.graphql";
import redeliverMany from "../documents/RedeliverMany.graphql";
import wholePayload from "../documents/WholePayload.graphql";
import wholeResponse from "../documents/WholeResponse.graphql";
import type * as made from "./operations.ts";

/** A document that is sent by its hash; its text is there to be opened in the explorer. */
export type Sent<Data, Variables> = TypedDocumentNode<Data, Variables & Record<string, unknown>> & {
  readonly text: string;
  /** Only for the compiler, which learns the types from here. */
  readonly types?: [Data, Variables];
};

export const DELIVERIES = deliveries as Sent<made.DeliveriesQuery, made.DeliveriesQueryVariables>;
export const MORE = more as Sent<made.MoreDeliveriesQuery, made.MoreDeliveriesQueryVariables>;
export const DELIVERY = delivery as Sent<made.DeliveryQuery, made.DeliveryQueryVariables>;
export const WHOLE_PAYLOAD = wholePayload as Sent<made.WholePayloadQuery, made.WholePayloadQueryVariables>;
export const WHOLE_RESPONSE = wholeResponse as Sent<made.WholeResponseQuery, made.WholeResponseQueryVariables>;
export const FIND = find as Sent<made.FindQuery, made.FindQueryVariables>;
export const FIND_BY_METADATA = findByMetadata as Sent<made.FindByMetadataQuery, made.FindByMetadataQueryVariables>;
export const EXPORT = exported as Sent<made.ExportQuery, made.ExportQueryVariables>;
export const REDELIVER = redeliver as Sent<made.RedeliverMutation, made.RedeliverMutationVariables>;
export const REDELIVER_MANY = redeliverMany as Sent<made.RedeliverManyMutation, made.RedeliverManyMutationVariables>;
export const LIVE_DELIVERIES = liveDeliveries as Sent<
  made.LiveDeliveriesSubscription,
  made.LiveDeliveriesSubscriptionVariables
>;
export const LIVE_DELIVERY = liveDelivery as Sent<
  made.LiveDeliverySubscription,
  made.LiveDeliverySubscriptionVariables
>;

export type Filter = made.CallbackDeliveryFilter;
export type Row = made.DeliveriesQuery["callbackDeliveries"]["nodes"][number];
export type Stats = made.DeliveriesQuery["callbackStats"];
export type Bucket = Stats["timeline"][number];
export type Investigated = NonNullable<made.DeliveryQuery["callbackDelivery"]>;
export type Attempt = Investigated["attempts"][number];
export type Viewer = made.DeliveriesQuery["viewer"];
export type Plan = made.RedeliverManyMutation["redeliverCallbacks"];
export type Outcome = Plan["results"][number];
export type Preview = NonNullable<Attempt["responseBodyPreview"]>;

/** A link that opens a document in the explorer, as the explorer's own links are made. */
export function explorerLink(explorer: string, sent: { text: string }, variables: object): string {
  const fragment = new URLSearchParams({ query: sent.text, variables: JSON.stringify(variables, null, 2) });
  return `${explorer}#${fragment}`;
}
