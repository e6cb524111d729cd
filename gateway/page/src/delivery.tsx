import { type ReactNode, type RefObject, useEffect, useRef } from "react";
import { type Client, useClient, useQuery } from "urql";
import { type View, writeAddress } from "./address.ts";
import { Badge } from "./badge.tsx";
import { Body } from "./body.tsx";
import type { Config } from "./config.ts";
import { ConnectionState } from "./connection.tsx";
import { Copy } from "./copy.tsx";
import {
  DELIVERY,
  explorerLink,
  type Investigated,
  LIVE_DELIVERY,
  type Viewer,
  WHOLE_PAYLOAD,
  WHOLE_RESPONSE,
} from "./documents.ts";
import { failureOf } from "./failure.ts";
import { useLive } from "./live.ts";
import { NextAttempt } from "./next.tsx";
import { FailureNotice, Notice, type Remedies } from "./notice.tsx";
import { DeliverAgain } from "./redelivery.tsx";
import { splitUrl, words } from "./state.ts";
import { pieces } from "./text.ts";
import { ago, atSecond, lasting } from "./time.ts";
import { Waterfall } from "./waterfall.tsx";

const PREVIEW_BYTES = 4096;

interface Props extends Omit<Remedies, "onRetry" | "onNarrow"> {
  readonly id: string;
  readonly view: View;
  readonly zone: string;
  readonly config: Config;
  readonly hasKey: boolean;
  readonly onView: (view: View) => void;
  readonly onViewer: (viewer: Viewer) => void;
}

/** An investigation: everything that is known of one delivery. */
export function Delivery({ id, view, zone, config, hasKey, onView, onViewer, onKey }: Props) {
  const variables = { id, maxBytes: PREVIEW_BYTES };
  const [{ data, error, fetching }, again] = useQuery({ query: DELIVERY, variables });
  const heading = useRef<HTMLHeadingElement>(null);
  const delivery = data?.callbackDelivery?.id === id ? data.callbackDelivery : null;
  const known = delivery?.id;
  const readAgain = () => again({ requestPolicy: "network-only" });
  const connection = useLive({
    document: LIVE_DELIVERY,
    variables: known ? { id: known } : null,
    cursorOf: (event) => event.callbackDelivery.cursor,
    onEvent: readAgain,
    onGap: readAgain,
  });
  useEffect(() => {
    if (known) {
      heading.current?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  }, [known]);
  const viewer = data?.viewer;
  useEffect(() => {
    if (viewer) {
      onViewer(viewer);
    }
  }, [viewer, onViewer]);
  const mayRedeliver = config.redeliveryScope !== null && (viewer?.scopes.includes(config.redeliveryScope) ?? false);
  const back = () => onView({ ...view, delivery: "" });
  return (
    <article className="investigation" aria-busy={fetching}>
      <p className="back">
        <a
          href={writeAddress({ ...view, delivery: "" })}
          onClick={(event) => {
            event.preventDefault();
            back();
          }}
        >
          ← All deliveries
        </a>
        <ConnectionState connection={connection} />
      </p>
      {error && !delivery ? (
        <FailureNotice failure={failureOf(error, hasKey)} onRetry={() => again()} onNarrow={back} onKey={onKey} />
      ) : delivery ? (
        <>
          <Head delivery={delivery} zone={zone} heading={heading}>
            {mayRedeliver && (
              <DeliverAgain delivery={delivery} onOpen={(made) => onView({ ...view, delivery: made })} />
            )}
          </Head>
          <div className="sides">
            <Main delivery={delivery} zone={zone} />
            <Aside delivery={delivery} view={view} zone={zone} config={config} variables={variables} onView={onView} />
          </div>
        </>
      ) : data && !fetching ? (
        <Notice
          title="There is no such delivery"
          actions={
            <button type="button" onClick={back}>
              All deliveries
            </button>
          }
        >
          <p>It belongs to another organization, or the link is not whole. Is the right key entered?</p>
        </Notice>
      ) : (
        <div className="waiting" role="status" aria-label="The delivery is coming">
          <div className="skeleton head" />
          <div className="skeleton block" />
          <div className="skeleton block" />
        </div>
      )}
    </article>
  );
}

interface HeadProps {
  readonly delivery: Investigated;
  readonly zone: string;
  readonly heading: RefObject<HTMLHeadingElement | null>;
  readonly children: ReactNode;
}

function Head({ delivery, zone, heading, children }: HeadProps) {
  const { host, path } = splitUrl(delivery.callbackUrl);
  const { failure } = delivery;
  return (
    <header>
      <div className="title">
        <Badge {...delivery} />
        <h1 ref={heading} tabIndex={-1}>
          {host}
          <span className="quiet">{path}</span>
        </h1>
        {children}
      </div>
      <p className="quiet">
        {delivery.isAutomatic === false ? "Made by hand" : "Made"}{" "}
        <time dateTime={delivery.createdAt}>{atSecond(delivery.createdAt, zone)}</time>,{" "}
        {ago(delivery.createdAt, Date.now())}
        {delivery.completedAt && (
          <>; completed after {lasting(Date.parse(delivery.completedAt) - Date.parse(delivery.createdAt))}</>
        )}
      </p>
      <NextAttempt delivery={delivery} zone={zone} />
      {failure && (
        <section className="why" aria-label="Why it failed">
          <h2>{failure.title}</h2>
          {delivery.failureDetail && <p className="detail">{delivery.failureDetail}</p>}
          <p>
            <b>What to do. </b>
            {failure.advice} {failure.retryable === true && "The same callback may succeed later with nothing changed."}
            {failure.retryable === false && "Sent again unchanged, it will fail again."}
          </p>
        </section>
      )}
    </header>
  );
}

function Main({ delivery, zone }: { delivery: Investigated; zone: string }) {
  const client = useClient();
  return (
    <div>
      <section aria-labelledby="attempts">
        <h2 id="attempts">
          Attempts <span className="quiet">{delivery.attempts.length}</span>
        </h2>
        <Waterfall delivery={delivery} zone={zone}>
          {(attempt) => (
            <>
              {attempt.errorMessage && <p className="detail">{attempt.errorMessage}</p>}
              <Body
                label={`What came back at attempt ${attempt.attemptNumber}`}
                preview={attempt.responseBodyPreview}
                nothing={attempt.statusCode === null ? "No answer came." : "The answer had no body."}
                onWhole={() => wholeResponse(client, attempt.id)}
              />
            </>
          )}
        </Waterfall>
      </section>
      <section aria-labelledby="sent">
        <h2 id="sent">What was sent</h2>
        <Body
          key={delivery.id}
          label="The body that was sent"
          preview={delivery.payloadBytesPreview}
          nothing="The body is not known."
          onWhole={() => wholePayload(client, delivery.id)}
        />
        {delivery.asCurl && (
          <details className="curl">
            <summary>As cURL</summary>
            <div className="body">
              <p className="bar">
                <span className="quiet">Secrets are placeholders: set them before you run it.</span>
                <Copy text={delivery.asCurl} label="Copy the command" />
              </p>
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
              <pre role="region" aria-label="The command" tabIndex={0}>
                {delivery.asCurl}
              </pre>
            </div>
          </details>
        )}
      </section>
    </div>
  );
}

async function wholePayload(client: Client, id: string): Promise<string | null> {
  const { data } = await client.query(WHOLE_PAYLOAD, { id }).toPromise();
  return data?.callbackDelivery?.payloadBytes ?? null;
}

async function wholeResponse(client: Client, id: string): Promise<string | null> {
  const { data } = await client.query(WHOLE_RESPONSE, { id }).toPromise();
  return data?.node && "responseBody" in data.node ? (data.node.responseBody ?? null) : null;
}

interface AsideProps {
  readonly delivery: Investigated;
  readonly view: View;
  readonly zone: string;
  readonly config: Config;
  readonly variables: object;
  readonly onView: (view: View) => void;
}

function Aside({ delivery, view, zone, config, variables, onView }: AsideProps) {
  const { batch } = delivery;
  return (
    <aside aria-label="About this delivery">
      <section>
        <h2>Delivery</h2>
        <dl>
          <dt>Id</dt>
          <dd>
            <code>{delivery.id}</code> <Copy text={delivery.id} label="Copy" />
          </dd>
          {delivery.payload && (
            <>
              <dt>Event</dt>
              <dd>{words(delivery.payload.event.toLowerCase()).replace("Batch ", "Batch ")}</dd>
            </>
          )}
          <dt>Attempts</dt>
          <dd>
            {delivery.attemptCount ?? 0} of {delivery.maxAttempts ?? "?"}
          </dd>
          <dt>Signed</dt>
          <dd>{delivery.signingSecretId ? "yes" : "no"}</dd>
        </dl>
      </section>
      {batch && (
        <section>
          <h2>Batch</h2>
          <dl>
            <dt>Id</dt>
            <dd>
              <code>{batch.id}</code> <Copy text={batch.id} label="Copy" />
            </dd>
            <dt>State</dt>
            <dd>{words(batch.statusCode ?? "unknown")}</dd>
            {batch.itemsTotal !== null && (
              <>
                <dt>Items</dt>
                <dd>
                  {batch.itemsSucceeded ?? 0} of {batch.itemsTotal} succeeded
                </dd>
              </>
            )}
            {batch.durationMs !== null && (
              <>
                <dt>Took</dt>
                <dd>{lasting(batch.durationMs)}</dd>
              </>
            )}
          </dl>
          {batch.metadata !== null && batch.metadata !== undefined && (
            <pre className="metadata">
              {pieces(JSON.stringify(batch.metadata, null, 2), "json").map((part, index) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: pieces of one text never change places
                <span key={index} className={`t-${part.kind}`}>
                  {part.text}
                </span>
              ))}
            </pre>
          )}
          <h3>
            Its deliveries <span className="quiet">{batch.callbackDeliveryCount}</span>
          </h3>
          <ul className="siblings">
            {batch.callbackDeliveries.map((sibling) => (
              <li key={sibling.id}>
                <a
                  href={writeAddress({ ...view, delivery: sibling.id })}
                  aria-current={sibling.id === delivery.id ? "page" : undefined}
                  onClick={(event) => {
                    event.preventDefault();
                    onView({ ...view, delivery: sibling.id });
                  }}
                >
                  <Badge {...sibling} />
                  <time dateTime={sibling.createdAt}>{atSecond(sibling.createdAt, zone)}</time>
                  {sibling.isAutomatic === false && <span className="tag">by hand</span>}
                </a>
              </li>
            ))}
          </ul>
        </section>
      )}
      {config.explorer && (
        <section>
          <h2>For programs</h2>
          <p>
            <a href={explorerLink(config.explorer, DELIVERY, variables)}>Open this question in the explorer</a>
          </p>
        </section>
      )}
    </aside>
  );
}
