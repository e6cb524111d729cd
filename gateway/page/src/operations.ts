/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** What a callback tells: the `event` of its body. */
export type BatchCallbackEvent =
  /** `batch.cancelled`: the batch was cancelled before it was done. */
  | 'BATCH_CANCELLED'
  /** `batch.failed`: no item succeeded, or the batch itself failed. */
  | 'BATCH_FAILED'
  /** `batch.partial_succeeded`: some items succeeded, others did not. */
  | 'BATCH_PARTIAL_SUCCEEDED'
  /** `batch.succeeded`: every item of the batch succeeded. */
  | 'BATCH_SUCCEEDED';

/** Keeps attempts that satisfy everything named here. */
export type CallbackAttemptFilter = {
  /** By the attempt's number in its delivery. */
  attemptNumber?: IntFilter | null | undefined;
  /** By when the attempt was made. */
  createdAt?: TimeFilter | null | undefined;
  /** By the delivery that the attempt belongs to. */
  deliveryId?: IdFilter | null | undefined;
  /** By the error message, as the viewer sees it. */
  errorMessage?: ContainsFilter | null | undefined;
  /** By the attempt's id. */
  id?: IdFilter | null | undefined;
  /** By the milliseconds until the answer. */
  responseTimeMs?: IntFilter | null | undefined;
  /** By the HTTP status: `{gte: 500, lt: 600}` keeps server errors, `{isNull: true}` attempts without an answer. */
  statusCode?: IntFilter | null | undefined;
};

/** Keeps deliveries by their attempts. */
export type CallbackAttemptsFilter = {
  /** At least one attempt satisfies this. */
  some?: CallbackAttemptFilter | null | undefined;
};

/** Keeps deliveries that satisfy everything named here. */
export type CallbackDeliveryFilter = {
  /** By how many attempts were made. */
  attemptCount?: IntFilter | null | undefined;
  /** By the delivery's attempts. */
  attempts?: CallbackAttemptsFilter | null | undefined;
  /** By the batch. */
  batchId?: IdFilter | null | undefined;
  /** By the host in that URL, lower case, with the port where it is not the scheme's own. */
  callbackHost?: TextFilter | null | undefined;
  /** By the URL that the callback is sent to. */
  callbackUrl?: UrlFilter | null | undefined;
  /** By when the delivery succeeded or was given up. */
  completedAt?: TimeFilter | null | undefined;
  /** By when the delivery was created. */
  createdAt?: TimeFilter | null | undefined;
  /** By the event that the body tells, such as `batch.failed`. */
  event?: TextFilter | null | undefined;
  /** By why the last attempt failed. */
  failureReasonCode?: TextFilter | null | undefined;
  /** By the delivery's id. */
  id?: IdFilter | null | undefined;
  /** True keeps deliveries that are not completed, false completed ones. */
  inFlight?: boolean | null | undefined;
  /** True keeps the platform's own deliveries, false redeliveries by hand. */
  isAutomatic?: boolean | null | undefined;
  /** By when the next attempt is due. */
  nextAttemptAt?: TimeFilter | null | undefined;
  /** True keeps deliveries in flight whose next attempt was due before now, false all others. */
  overdue?: boolean | null | undefined;
  /** By how the delivery stands. */
  statusCode?: TextFilter | null | undefined;
};

/** What happened to a delivery or an attempt, by what its row says; what happened quickly is told as one change. */
export type ChangeKind =
  /** It changed, for example since an attempt was made. */
  | 'CHANGED'
  /** The delivery succeeded or was given up. */
  | 'COMPLETED'
  /** It is new. */
  | 'CREATED';

/** Keeps rows by a part of a text; upper and lower case differ. */
export type ContainsFilter = {
  /** Texts that contain this. */
  contains?: string | null | undefined;
  /** True keeps rows without a text, false those with one. */
  isNull?: boolean | null | undefined;
};

/** How exact a count is. */
export type CountPrecision =
  /** There are more: counting stopped here. */
  | 'CAPPED'
  /** There are exactly so many. */
  | 'EXACT';

/** What an export is written as. */
export type ExportFormat =
  /** RFC 4180 in UTF-8, for spreadsheets: no cell is run as a formula. */
  | 'CSV'
  /** A JSON object a line, and a last line that says `end`. */
  | 'NDJSON';

/** Keeps rows by an id. */
export type IdFilter = {
  /** Exactly this id. */
  eq?: string | null | undefined;
  /** One of these ids; an empty list keeps nothing. */
  in?: Array<string> | null | undefined;
  /** None of these ids. */
  notIn?: Array<string> | null | undefined;
};

/** Keeps rows by a whole number; rows without one are kept by `isNull` only. */
export type IntFilter = {
  /** Exactly this number. */
  eq?: number | null | undefined;
  /** More than this number. */
  gt?: number | null | undefined;
  /** This number or more. */
  gte?: number | null | undefined;
  /** True keeps rows without a number, false those with one. */
  isNull?: boolean | null | undefined;
  /** Less than this number. */
  lt?: number | null | undefined;
  /** This number or less. */
  lte?: number | null | undefined;
};

/** Why a callback was not delivered again; nothing was done. */
export type RedeliveryRefusalReason =
  /** There is no batch with this id. */
  | 'BATCH_NOT_FOUND'
  /** The batch has another latest delivery than when the plan was made. */
  | 'CHANGED'
  /** A delivery of this batch is in flight: there is one at a time. */
  | 'CONFLICT'
  /** The platform does not let this credential do it. */
  | 'NOT_ALLOWED'
  /** It was not begun: the time was over, or the gateway is about to stop. */
  | 'NOT_BEGUN'
  /** The batch has not ended: its callback has not been sent yet. */
  | 'NOT_ENDED'
  /** This gateway has no platform to ask. */
  | 'NOT_OFFERED'
  /** The batch has no callback URL. */
  | 'NO_CALLBACK_URL'
  /** The platform cannot take it just now. */
  | 'PLATFORM_UNAVAILABLE'
  /** The platform refused it. */
  | 'REFUSED';

/** Keeps rows by a text, compared exactly. */
export type TextFilter = {
  /** Exactly this text. */
  eq?: string | null | undefined;
  /** One of these texts; an empty list keeps nothing. */
  in?: Array<string> | null | undefined;
  /** True keeps rows without a text, false those with one. */
  isNull?: boolean | null | undefined;
  /** None of these texts; rows without a text are kept. */
  notIn?: Array<string> | null | undefined;
};

/** Keeps rows by an instant; rows without one are kept by `isNull` only. */
export type TimeFilter = {
  /** Exactly this instant. */
  eq?: string | null | undefined;
  /** Later than this instant. */
  gt?: string | null | undefined;
  /** At this instant or later. */
  gte?: string | null | undefined;
  /** True keeps rows without an instant, false those with one. */
  isNull?: boolean | null | undefined;
  /** Earlier than this instant. */
  lt?: string | null | undefined;
  /** At this instant or earlier. */
  lte?: string | null | undefined;
};

/** How long the buckets of a timeline are. */
export type TimelineBucketSize =
  /** Days of the zone, from midnight to midnight: 23 or 25 hours where the clock moves. */
  | 'DAY'
  /** Hours of the zone's clock. An hour that the clock shows twice is two buckets, one that it skips is none; where it moves by half an hour, one bucket is half an hour long. */
  | 'HOUR';

/** Keeps rows by a URL, compared exactly as it is stored. */
export type UrlFilter = {
  /** Exactly this URL. */
  eq?: string | null | undefined;
  /** True keeps rows without a URL, false those with one. */
  isNull?: boolean | null | undefined;
  /** URLs that begin with this text: scheme, host and whole path segments, such as `https://hooks.example/in/`. Anything else needs the scope `batches:read_secrets`. */
  startsWith?: string | null | undefined;
};

export type DeliveriesQueryVariables = Exact<{
  filter?: CallbackDeliveryFilter | null | undefined;
  first: number;
  bucket: TimelineBucketSize;
  timeZone: string;
  succeeded?: CallbackDeliveryFilter | null | undefined;
  failed?: CallbackDeliveryFilter | null | undefined;
  cancelled?: CallbackDeliveryFilter | null | undefined;
  partial?: CallbackDeliveryFilter | null | undefined;
  automatic?: CallbackDeliveryFilter | null | undefined;
  byHand?: CallbackDeliveryFilter | null | undefined;
  anyStatus?: CallbackDeliveryFilter | null | undefined;
  hasStatus: boolean;
  anyReason?: CallbackDeliveryFilter | null | undefined;
  hasReason: boolean;
  anyHost?: CallbackDeliveryFilter | null | undefined;
  hasHost: boolean;
  anyHttp?: CallbackDeliveryFilter | null | undefined;
  hasHttp: boolean;
}>;


export type DeliveriesQuery = { viewer: { scopes: Array<string>, organization: { id: string, name: string | null } }, callbackDeliveries: { nodes: Array<{ id: string, statusCode: string | null, inFlight: boolean, overdue: boolean, failureReasonCode: string | null, attemptCount: number | null, maxAttempts: number | null, isAutomatic: boolean | null, createdAt: string, nextAttemptAt: string | null, callbackUrl: string | null, failure: { title: string } | null, latestAttempt: { statusCode: number | null, responseTimeMs: number | null } | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } }, callbackStats: { deliveries: number, delivered: number, failed: number, inFlight: number, overdue: number, successRate: number | null, byStatus: Array<{ statusCode: string | null, deliveries: number }>, byFailureReason: Array<{ failureReasonCode: string | null, deliveries: number }>, byResponseStatus: Array<{ statusCode: number | null, attempts: number }>, byHost: Array<{ host: string | null, deliveries: number, successRate: number | null }>, responseTimeMs: { p50: number | null, p95: number | null, p99: number | null }, timeline: Array<{ start: string, end: string, delivered: number, failed: number, inFlight: number }> }, succeeded: { deliveries: number }, failed: { deliveries: number }, cancelled: { deliveries: number }, partial: { deliveries: number }, automatic: { deliveries: number }, byHand: { deliveries: number }, anyStatus?: { byStatus: Array<{ statusCode: string | null, deliveries: number }> }, anyReason?: { byFailureReason: Array<{ failureReasonCode: string | null, deliveries: number }> }, anyHost?: { byHost: Array<{ host: string | null, deliveries: number, successRate: number | null }> }, anyHttp?: { byResponseStatus: Array<{ statusCode: number | null, attempts: number }> } };

export type DeliveryQueryVariables = Exact<{
  id: string | number;
  maxBytes: number;
}>;


export type DeliveryQuery = { viewer: { scopes: Array<string>, organization: { id: string, name: string | null } }, callbackDelivery: { id: string, statusCode: string | null, inFlight: boolean, overdue: boolean, willRetry: boolean, nextAttemptAt: string | null, attemptCount: number | null, maxAttempts: number | null, isAutomatic: boolean | null, signingSecretId: string | null, createdAt: string, updatedAt: string | null, completedAt: string | null, callbackUrl: string | null, failureReasonCode: string | null, failureDetail: string | null, asCurl: string | null, failure: { code: string, title: string, retryable: boolean | null, advice: string } | null, payload: { event: BatchCallbackEvent } | null, payloadBytesPreview: { text: string, truncated: boolean, byteLength: number } | null, attempts: Array<{ id: string, attemptNumber: number, createdAt: string, statusCode: number | null, responseTimeMs: number | null, errorMessage: string | null, responseBodyPreview: { text: string, truncated: boolean, byteLength: number } | null }>, batch: { id: string, statusCode: string | null, targetType: string | null, itemsTotal: number | null, itemsSucceeded: number | null, itemsFailed: number | null, itemsCancelled: number | null, createdAt: string, completedAt: string | null, durationMs: number | null, metadata: unknown, callbackDeliveryCount: number, callbackDeliveries: Array<{ id: string, statusCode: string | null, inFlight: boolean, overdue: boolean, isAutomatic: boolean | null, createdAt: string, attemptCount: number | null }> } | null } | null };

export type ExportQueryVariables = Exact<{
  filter?: CallbackDeliveryFilter | null | undefined;
  format: ExportFormat;
}>;


export type ExportQuery = { callbackDeliveries: { exportLink: { url: string } } };

export type FindQueryVariables = Exact<{
  id: string | number;
}>;


export type FindQuery = { callbackDelivery: { id: string } | null, batch: { id: string } | null };

export type FindByMetadataQueryVariables = Exact<{
  path: Array<string> | string;
  eq: unknown;
}>;


export type FindByMetadataQuery = { batches: { nodes: Array<{ id: string }>, pageInfo: { hasNextPage: boolean } } };

export type LiveDeliveriesSubscriptionVariables = Exact<{
  filter?: CallbackDeliveryFilter | null | undefined;
  after?: string | null | undefined;
}>;


export type LiveDeliveriesSubscription = { callbackDeliveries: { cursor: string, change: ChangeKind, node: { id: string, statusCode: string | null, inFlight: boolean, overdue: boolean, failureReasonCode: string | null, attemptCount: number | null, maxAttempts: number | null, isAutomatic: boolean | null, createdAt: string, nextAttemptAt: string | null, callbackUrl: string | null, failure: { title: string } | null, latestAttempt: { statusCode: number | null, responseTimeMs: number | null } | null } | null } };

export type LiveDeliverySubscriptionVariables = Exact<{
  id: string | number;
  after?: string | null | undefined;
}>;


export type LiveDeliverySubscription = { callbackDelivery: { cursor: string, change: ChangeKind } };

export type MoreDeliveriesQueryVariables = Exact<{
  filter?: CallbackDeliveryFilter | null | undefined;
  first: number;
  after?: string | null | undefined;
}>;


export type MoreDeliveriesQuery = { callbackDeliveries: { nodes: Array<{ id: string, statusCode: string | null, inFlight: boolean, overdue: boolean, failureReasonCode: string | null, attemptCount: number | null, maxAttempts: number | null, isAutomatic: boolean | null, createdAt: string, nextAttemptAt: string | null, callbackUrl: string | null, failure: { title: string } | null, latestAttempt: { statusCode: number | null, responseTimeMs: number | null } | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type RedeliverMutationVariables = Exact<{
  batchId: string | number;
}>;


export type RedeliverMutation = { redeliverCallback:
    | { __typename: 'RedeliveryMade', delivery: { id: string } }
    | { __typename: 'RedeliveryPlanned' }
    | { __typename: 'RedeliveryRefused', message: string }
    | { __typename: 'RedeliveryUnknown', message: string }
   };

export type RedeliverManyMutationVariables = Exact<{
  filter?: CallbackDeliveryFilter | null | undefined;
  first: number;
  dryRun: boolean;
  token?: string | null | undefined;
}>;


export type RedeliverManyMutation = { redeliverCallbacks: { token: string | null, expiresAt: string | null, totalCount: { value: number, precision: CountPrecision } | null, results: Array<
      | { __typename: 'RedeliveryMade', batchId: string, delivery: { id: string } }
      | { __typename: 'RedeliveryPlanned', batchId: string, delivery: { id: string, callbackUrl: string | null, createdAt: string } }
      | { __typename: 'RedeliveryRefused', batchId: string, reason: RedeliveryRefusalReason, message: string }
      | { __typename: 'RedeliveryUnknown', batchId: string, message: string }
    > } };

export type WholePayloadQueryVariables = Exact<{
  id: string | number;
}>;


export type WholePayloadQuery = { callbackDelivery: { payloadBytes: string | null } | null };

export type WholeResponseQueryVariables = Exact<{
  id: string | number;
}>;


export type WholeResponseQuery = { node:
    | { responseBody: string | null }
    | Record<PropertyKey, never>
   | null };
