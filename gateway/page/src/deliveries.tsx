import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useClient, useQuery } from "urql";
import { ALL, CUSTOM, cleared, isFiltered, splitMetadata, type View } from "./address.ts";
import type { Config } from "./config.ts";
import { ConnectionState } from "./connection.tsx";
import {
  DELIVERIES,
  explorerLink,
  FIND_BY_METADATA,
  type Filter,
  LIVE_DELIVERIES,
  MORE,
  type Row,
} from "./documents.ts";
import { Export } from "./exporting.tsx";
import { Facets } from "./facets.tsx";
import { failureOf } from "./failure.ts";
import { Figures } from "./figures.tsx";
import { bucketOf, PAGE_SIZE, variablesOf } from "./filter.ts";
import { List, ListSkeleton } from "./list.tsx";
import { type Connection, useLive } from "./live.ts";
import { FailureNotice, Notice, type Remedies } from "./notice.tsx";
import type { DeliveriesQuery, FindByMetadataQuery } from "./operations.ts";
import { DeliverAllAgain } from "./redelivery.tsx";
import { type Range, Timeline } from "./timeline.tsx";

interface Props extends Pick<Remedies, "onKey"> {
  readonly view: View;
  readonly zone: string;
  readonly config: Config;
  /** The instant that times reach back from: it moves when the viewer wants the newest. */
  readonly now: number;
  /** The present, for what was how long ago. */
  readonly clock: number;
  readonly hasKey: boolean;
  readonly onView: (view: View) => void;
  readonly onRefresh: () => void;
  readonly onViewer: (viewer: DeliveriesQuery["viewer"]) => void;
}

/** The first view: figures, facets, timeline and list of the deliveries that the filter keeps. One request. */
export function Deliveries(props: Props) {
  const { view } = props;
  const metadata = splitMetadata(view.metadata);
  const [{ data, error, fetching }, again] = useQuery<FindByMetadataQuery>({
    query: FIND_BY_METADATA,
    variables: metadata ?? { path: [], eq: "" },
    pause: !metadata,
  });
  if (!metadata) {
    return <Found {...props} batches={null} />;
  }
  if (error && !fetching) {
    return (
      <FailureNotice
        failure={failureOf(error, props.hasKey)}
        onRetry={() => again()}
        onNarrow={() => props.onView({ ...view, range: "24h" })}
        onKey={props.onKey}
      />
    );
  }
  if (!data || fetching) {
    return <Contents {...props} data={null} rows={[]} hasMore={false} onMore={() => {}} variables={{}} />;
  }
  const { nodes, pageInfo } = data.batches;
  return (
    <>
      {pageInfo.hasNextPage && (
        <p className="remark">More batches have this label: the deliveries of the newest {nodes.length} are shown.</p>
      )}
      <Found {...props} batches={nodes.map(({ id }) => id)} />
    </>
  );
}

/** What has changed since the first view was read, by the delivery. */
interface Changes {
  readonly since: DeliveriesQuery | null;
  readonly rows: ReadonlyMap<string, Row>;
}

const NO_CHANGES: Changes = { since: null, rows: new Map() };

function changed(changes: Changes, row: Row): Changes {
  return { ...changes, rows: new Map(changes.rows).set(row.id, row) };
}

interface More {
  readonly behind: DeliveriesQuery;
  readonly rows: readonly Row[];
  readonly cursor: string | null;
}

function Found(props: Props & { batches: readonly string[] | null }) {
  const { view, zone, now, batches, hasKey, onViewer, onRefresh, onView, onKey } = props;
  const client = useClient();
  const asked = JSON.stringify(variablesOf(view, now, zone, batches));
  const variables = useMemo(() => JSON.parse(asked) as ReturnType<typeof variablesOf>, [asked]);
  const [{ data, error, fetching }, again] = useQuery({ query: DELIVERIES, variables });
  const [more, setMore] = useState<More | null>(null);
  const [failed, setFailed] = useState<Parameters<typeof failureOf>[0] | null>(null);
  const loading = useRef<string | null>(null);
  const viewer = data?.viewer;
  useEffect(() => {
    if (viewer) {
      onViewer(viewer);
    }
  }, [viewer, onViewer]);

  const asBefore = useRef({ now, asked });
  useEffect(() => {
    const before = asBefore.current;
    asBefore.current = { now, asked };
    if (before.now !== now && before.asked === asked) {
      again({ requestPolicy: "network-only" }); // the same question, whose answer may be another by now
    }
  }, [now, asked, again]);

  const [changes, setChanges] = useState<Changes>(NO_CHANGES);
  const since = changes.since === data ? changes : NO_CHANGES;
  const connection = useLive({
    document: LIVE_DELIVERIES,
    variables: data && view.delivery === "" ? { filter: variables.filter ?? null } : null,
    cursorOf: (event) => event.callbackDeliveries.cursor,
    onEvent: ({ callbackDeliveries: { node } }) => {
      if (node && data) {
        setChanges((before) => changed(before.since === data ? before : { ...NO_CHANGES, since: data }, node));
      }
    },
    onGap: onRefresh,
  });

  const first = data?.callbackDeliveries;
  const further = more && more.behind === data ? more : null;
  const read = useMemo(() => [...(first?.nodes ?? []), ...(further?.rows ?? [])], [first, further]);
  const rows = useMemo(() => read.map((row) => since.rows.get(row.id) ?? row), [read, since.rows]);
  const fresh = useMemo(() => {
    const known = new Set(read.map(({ id }) => id));
    const newest = read[0]?.createdAt ?? "";
    return [...since.rows.values()].filter(({ id, createdAt }) => !known.has(id) && createdAt >= newest).length;
  }, [read, since.rows]);
  const cursor = further ? further.cursor : first?.pageInfo.hasNextPage ? first.pageInfo.endCursor : null;
  const onMore = useCallback(async () => {
    if (!data || cursor === null || loading.current === cursor) {
      return;
    }
    loading.current = cursor;
    const { filter } = variables;
    const page = await client.query(MORE, { filter: filter ?? null, first: PAGE_SIZE, after: cursor }).toPromise();
    if (!page.data) {
      setFailed(page.error ?? null);
      return;
    }
    const { nodes, pageInfo } = page.data.callbackDeliveries;
    const next = pageInfo.hasNextPage ? pageInfo.endCursor : null;
    setMore((before) => {
      const above = before !== null && before.behind === data ? before.rows : [];
      return { behind: data, rows: [...above, ...nodes], cursor: next };
    });
  }, [client, data, cursor, variables]);

  if (error && !fetching) {
    return (
      <FailureNotice
        failure={failureOf(error, hasKey)}
        onRetry={() => again()}
        onNarrow={() => onView({ ...view, range: "24h", from: "", to: "" })}
        onKey={onKey}
      />
    );
  }
  return (
    <>
      <Contents
        {...props}
        data={data ?? null}
        stale={fetching}
        rows={rows}
        hasMore={cursor !== null && failed === null}
        fresh={fresh}
        connection={connection}
        onMore={onMore}
        variables={variables}
      />
      {failed && (
        <FailureNotice
          failure={failureOf(failed, hasKey)}
          onRetry={() => {
            const isOver = failureOf(failed, hasKey).remedy === "newest";
            loading.current = null;
            setFailed(null);
            if (isOver) {
              onRefresh();
            }
          }}
          onNarrow={() => onView({ ...view, range: "24h", from: "", to: "" })}
          onKey={onKey}
        />
      )}
    </>
  );
}

interface ContentsProps extends Props {
  readonly data: DeliveriesQuery | null;
  readonly stale?: boolean;
  readonly rows: readonly Row[];
  readonly hasMore: boolean;
  /** How many deliveries were made since: they are told, and shown when the viewer wants them. */
  readonly fresh?: number;
  readonly connection?: Connection;
  readonly onMore: () => void;
  readonly variables: object;
}

function Contents({ data, stale = false, rows, hasMore, onMore, variables, ...props }: ContentsProps) {
  const { fresh = 0, connection = "off" } = props;
  const { view, zone, now, clock, config, onView, onRefresh } = props;
  const filter = (variables as { filter?: Filter }).filter ?? {};
  const stats = data?.callbackStats ?? null;
  const latest = useRef({ view, onView });
  latest.current = { view, onView };
  const onRange = useCallback(({ from, to }: Range) => {
    const { view: before, onView: show } = latest.current;
    show({ ...before, range: CUSTOM, from, to });
  }, []);
  return (
    <div className={stale && data ? "view stale" : "view"} aria-busy={stale || !data}>
      <details className="narrow-facets" open={matchMedia("(min-width: 1000px)").matches}>
        <summary>Filters</summary>
        <Facets data={data} view={view} onView={onView} />
      </details>
      <div className="content">
        <Figures stats={stats} view={view} onView={onView} />
        <Timeline
          buckets={stats?.timeline ?? null}
          hourly={bucketOf(view, now) === "HOUR"}
          zone={zone}
          onRange={onRange}
        />
        <div className="toolbar">
          <h2>Deliveries</h2>
          <ConnectionState connection={connection} />
          <span role="status" className="fresh">
            {fresh > 0 && (
              <button type="button" className="primary" onClick={onRefresh}>
                {fresh === 1 ? "1 new delivery" : `${fresh} new deliveries`}: show
              </button>
            )}
          </span>
          {data && rows.length > 0 && (
            <>
              <Export filter={filter} />
              {config.redeliveryScope !== null && data.viewer.scopes.includes(config.redeliveryScope) && (
                <DeliverAllAgain filter={filter} onChanged={onRefresh} />
              )}
            </>
          )}
        </div>
        {!data ? (
          <ListSkeleton />
        ) : rows.length === 0 ? (
          <Nothing view={view} onView={onView} />
        ) : (
          <List
            rows={rows}
            total={stats?.deliveries ?? rows.length}
            hasMore={hasMore}
            view={view}
            zone={zone}
            now={clock}
            onMore={onMore}
            onOpen={(delivery) => onView({ ...view, delivery })}
          />
        )}
        {config.explorer && data && (
          <p className="programs">
            <a href={explorerLink(config.explorer, DELIVERIES, variables)}>Open this question in the explorer</a>
          </p>
        )}
      </div>
    </div>
  );
}

function Nothing({ view, onView }: { view: View; onView: (view: View) => void }) {
  const everything = { ...cleared(view), range: ALL, from: "", to: "" };
  if (isFiltered(view)) {
    return (
      <Notice
        title="No delivery is like that"
        actions={
          <>
            <button type="button" className="primary" onClick={() => onView(cleared(view))}>
              Clear the filters
            </button>
            {view.range !== ALL && (
              <button type="button" onClick={() => onView({ ...view, range: ALL, from: "", to: "" })}>
                Look at all time
              </button>
            )}
          </>
        }
      >
        <p>Take a filter away, or look further back.</p>
      </Notice>
    );
  }
  if (view.range !== ALL) {
    return (
      <Notice
        title="No deliveries in this time"
        actions={
          <button type="button" className="primary" onClick={() => onView(everything)}>
            Look at all time
          </button>
        }
      >
        <p>There may be older ones.</p>
      </Notice>
    );
  }
  return (
    <Notice title="This organization has no deliveries yet">
      <p>
        A delivery is made when a batch ends that was submitted with a callback URL. Submit one, and it stands here as
        soon as it has ended.
      </p>
    </Notice>
  );
}
