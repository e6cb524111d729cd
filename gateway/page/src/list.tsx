import { defaultRangeExtractor, type Range, useWindowVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type MouseEvent, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { type View, writeAddress } from "./address.ts";
import { Badge, Http } from "./badge.tsx";
import type { Row } from "./documents.ts";
import { splitUrl } from "./state.ts";
import { ago, atSecond, milliseconds } from "./time.ts";

const HEIGHT = 44;
const HEIGHT_NARROW = 68;
const NARROW = "(max-width: 760px)";
const AHEAD = 30; // rows before the end at which the next page is asked for
const STEPS: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 };

interface Props {
  readonly rows: readonly Row[];
  readonly total: number;
  readonly hasMore: boolean;
  readonly view: View;
  readonly zone: string;
  readonly now: number;
  readonly onMore: () => void;
  readonly onOpen: (id: string) => void;
}

/** The deliveries, newest first: only the rows on screen are in the page, and the next ones come when they are near. */
export function List({ rows, total, hasMore, view, zone, now, onMore, onOpen }: Props) {
  const place = useRef<HTMLOListElement>(null);
  const [active, setActive] = useState(0);
  const [margin, setMargin] = useState(0);
  const narrow = useNarrow();
  const rangeExtractor = useCallback(
    (range: Range) =>
      [...new Set([...defaultRangeExtractor(range), Math.min(active, range.count - 1)])].sort((a, b) => a - b),
    [active],
  );
  useLayoutEffect(() => {
    const measure = () => setMargin((place.current?.getBoundingClientRect().top ?? 0) + scrollY);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(document.body);
    return () => observer.disconnect();
  }, []);
  const height = narrow ? HEIGHT_NARROW : HEIGHT;
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => height,
    overscan: 12,
    scrollMargin: margin,
    rangeExtractor,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows of another height are measured anew
  useEffect(() => virtual.measure(), [height]);
  const items = virtual.getVirtualItems();
  const lastShown = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (hasMore && lastShown >= rows.length - AHEAD) {
      onMore();
    }
  }, [hasMore, lastShown, rows.length, onMore]);

  const step = (event: KeyboardEvent) => {
    const by = STEPS[event.key];
    if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    event.preventDefault();
    const next = Math.max(0, Math.min(rows.length - 1, active + by));
    setActive(next);
    virtual.scrollToIndex(next, { align: "auto" });
    requestAnimationFrame(() => place.current?.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus());
  };
  const open = (event: MouseEvent, id: string) => {
    if (event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      onOpen(id);
    }
  };
  return (
    <>
      <div className="columns" aria-hidden="true">
        <span>State</span>
        <span>Receiver</span>
        <span>Reason</span>
        <span className="number">HTTP</span>
        <span className="number">Took</span>
        <span className="number">Tries</span>
        <span className="number">Created</span>
      </div>
      <ol
        ref={place}
        className="rows"
        aria-label="Deliveries, newest first"
        style={{ height: virtual.getTotalSize() }}
        onKeyDown={step}
      >
        {items.map(({ index, start, key }) => {
          const row = rows[index];
          return (
            row && (
              <li
                key={key}
                aria-posinset={index + 1}
                aria-setsize={Math.max(total, rows.length)}
                style={{ height, transform: `translateY(${start - margin}px)` }}
              >
                <a
                  href={writeAddress({ ...view, delivery: row.id })}
                  data-index={index}
                  data-delivery={row.id}
                  tabIndex={index === active ? 0 : -1}
                  onFocus={() => setActive(index)}
                  onClick={(event) => open(event, row.id)}
                >
                  <Cells row={row} zone={zone} now={now} />
                </a>
              </li>
            )
          );
        })}
      </ol>
      <p className="end" role="status">
        {hasMore ? "More are coming …" : rows.length > 0 ? "These are all." : ""}
      </p>
    </>
  );
}

function Cells({ row, zone, now }: { row: Row; zone: string; now: number }) {
  const { host, path } = splitUrl(row.callbackUrl);
  const tried = row.latestAttempt !== null;
  return (
    <>
      <Badge {...row} />
      <span className="receiver">
        <b>{host}</b>
        <span className="quiet">{path}</span>
      </span>
      <span className="reason">
        {row.failure?.title ?? ""}
        {row.isAutomatic === false && <span className="tag">by hand</span>}
      </span>
      <span className="number">
        <span className="said">{tried ? "HTTP " : "not tried"}</span>
        {tried && <Http status={row.latestAttempt?.statusCode} />}
      </span>
      <span className="number took">{tried ? milliseconds(row.latestAttempt?.responseTimeMs) : ""}</span>
      <span className="number tries">
        <span className="said">attempt </span>
        {row.attemptCount ?? 0}
        <span className="quiet">/{row.maxAttempts ?? "?"}</span>
      </span>
      <time className="number" dateTime={row.createdAt} title={atSecond(row.createdAt, zone)}>
        {ago(row.createdAt, now)}
      </time>
    </>
  );
}

/** Rows that are not there yet, as high as those that will be. */
export function ListSkeleton() {
  return (
    <>
      <div className="columns" aria-hidden="true" />
      <div className="rows" aria-busy="true" role="status" aria-label="Deliveries are coming">
        {Array.from({ length: 12 }, (_, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: they are all alike
          <div key={index} className="row skeleton" />
        ))}
      </div>
    </>
  );
}

function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const query = matchMedia(NARROW);
    const follow = () => setNarrow(query.matches);
    query.addEventListener("change", follow);
    return () => query.removeEventListener("change", follow);
  }, []);
  return narrow;
}
