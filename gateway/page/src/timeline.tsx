import { useEffect, useId, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Bucket } from "./documents.ts";
import { atMinute, atTime, count, onDay, shortDay } from "./time.ts";

const HEIGHT = 168;
const AXIS = 44; // pixels left of the plot, which the sliders below it leave free as well
const EDGE = 20; // pixels right of it, for half of the last label
const PAUSE = 500; // milliseconds without a key until a range is taken for chosen
const HATCH = 6;
const SERIES = ["delivered", "failed", "inFlight"] as const;
const NAMES = { delivered: "Delivered", failed: "Failed", inFlight: "In flight" };

export interface Range {
  readonly from: string;
  readonly to: string;
}

interface Props {
  readonly buckets: readonly Bucket[] | null;
  readonly hourly: boolean;
  readonly zone: string;
  readonly onRange: (range: Range) => void;
}

/** Delivered, failed and in flight over time. A range is drawn with the mouse, or by the two sliders below. */
export function Timeline({ buckets, hourly, zone, onRange }: Props) {
  const [hovered, setHovered] = useState<number | null>(null);
  const named = (at: string) => (hourly ? atMinute(at, zone) : onDay(at, zone));
  const shown = buckets && hovered !== null ? buckets[hovered] : undefined;
  const totals = shown ?? totalOf(buckets ?? []);
  return (
    <figure className="timeline" aria-busy={buckets === null}>
      <figcaption>
        <span className="when">{shown ? named(shown.start) : hourly ? "By the hour" : "By the day"}</span>
        {SERIES.map((name) => (
          <span key={name} className={`key ${name}`}>
            {NAMES[name]} <b>{buckets ? count(totals[name]) : "–"}</b>
          </span>
        ))}
        <span className="hint">Draw a range to look closer</span>
      </figcaption>
      {buckets === null ? (
        <div className="plot skeleton" />
      ) : buckets.length === 0 ? (
        <div className="plot nothing">No deliveries in this time</div>
      ) : (
        <>
          <Plot buckets={buckets} hourly={hourly} zone={zone} onRange={onRange} onHover={setHovered} />
          <Sliders key={buckets[0]?.start} buckets={buckets} named={named} onRange={onRange} />
        </>
      )}
      {buckets && buckets.length > 0 && <Table buckets={buckets} named={named} />}
    </figure>
  );
}

function totalOf(buckets: readonly Bucket[]): Pick<Bucket, (typeof SERIES)[number]> {
  const sum = (name: (typeof SERIES)[number]) => buckets.reduce((all, bucket) => all + bucket[name], 0);
  return { delivered: sum("delivered"), failed: sum("failed"), inFlight: sum("inFlight") };
}

function describe(buckets: readonly Bucket[], named: (at: string) => string): string {
  const { delivered, failed, inFlight } = totalOf(buckets);
  const worst = buckets.reduce<Bucket | undefined>(
    (most, bucket) => (bucket.failed > (most?.failed ?? 0) ? bucket : most),
    undefined,
  );
  const first = buckets[0];
  const last = buckets.at(-1);
  return [
    `Timeline from ${first ? named(first.start) : ""} to ${last ? named(last.start) : ""}:`,
    `${count(delivered)} delivered, ${count(failed)} failed, ${count(inFlight)} in flight.`,
    worst ? `Most failures: ${count(worst.failed)}, ${named(worst.start)}.` : "No failures.",
  ].join(" ");
}

interface PlotProps extends Omit<Props, "buckets"> {
  readonly buckets: readonly Bucket[];
  readonly onHover: (index: number | null) => void;
}

function Plot({ buckets, hourly, zone, onRange, onHover }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const dark = useDark();
  const latest = useRef({ onRange, onHover });
  latest.current = { onRange, onHover };
  // biome-ignore lint/correctness/useExhaustiveDependencies: another theme has other colours
  useEffect(() => {
    const element = place.current;
    if (!element) {
      return;
    }
    const options = optionsFor(element, buckets, hourly, zone, latest);
    const plot = new uPlot(options, dataOf(buckets), element);
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [buckets, hourly, zone, dark]);
  const named = (at: string) => (hourly ? atMinute(at, zone) : onDay(at, zone));
  return <div ref={place} className="plot" role="img" aria-label={describe(buckets, named)} />;
}

/** Each series on top of those after it: the bars of the first are the highest and lie at the back. */
function dataOf(buckets: readonly Bucket[]): uPlot.AlignedData {
  return [
    buckets.map(({ start }) => Date.parse(start) / 1000),
    buckets.map(({ delivered, failed, inFlight }) => delivered + failed + inFlight),
    buckets.map(({ delivered, failed }) => delivered + failed),
    buckets.map(({ delivered }) => delivered),
  ];
}

function optionsFor(
  element: HTMLElement,
  buckets: readonly Bucket[],
  hourly: boolean,
  zone: string,
  latest: { current: Pick<PlotProps, "onRange" | "onHover"> },
): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => {
    element.style.color = `var(${name})`; // a canvas knows neither variables nor light-dark()
    const { color } = style;
    element.style.color = "";
    return color;
  };
  const start = Date.parse(buckets[0]?.start ?? "") / 1000;
  const end = Date.parse(buckets.at(-1)?.end ?? "") / 1000;
  const bars = uPlot.paths.bars?.({ size: [0.86, 36], align: 1 });
  const series = (name: string, fill: string | CanvasPattern): uPlot.Series => ({
    label: name,
    fill: () => fill as string,
    width: 0,
    points: { show: false },
    ...(bars && { paths: bars }),
  });
  const axis = { stroke: colour("--quiet"), font: `11px ${style.fontFamily}` };
  const grid = { stroke: colour("--line"), width: 1 };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    padding: [8, EDGE, 0, 0],
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
    scales: {
      x: { time: true, range: () => [start, end] },
      y: { range: (_, __, most) => [0, Math.max(most * 1.08, 1)] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        ticks: { ...grid, size: 4 },
        size: 24,
        space: 84,
        values: (_, splits) =>
          splits.map((at) => {
            const time = hourly ? atTime(at * 1000, zone) : "00:00";
            return time === "00:00" ? shortDay(at * 1000, zone) : time;
          }),
      },
      {
        ...axis,
        grid,
        ticks: { show: false },
        size: AXIS,
        space: 36,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 1e7],
        values: (_, splits) =>
          splits.map((value) => new Intl.NumberFormat("en", { notation: "compact" }).format(value)),
      },
    ],
    series: [
      {},
      series("In flight", colour("--waiting")),
      series("Failed", hatched(colour("--bad"), colour("--surface"))),
      series("Delivered", colour("--good-bar")),
    ],
    hooks: {
      setCursor: [(plot) => latest.current.onHover(plot.cursor.idx ?? null)],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < 4) {
            return;
          }
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          const from = plot.posToVal(left, "x") * 1000;
          const to = plot.posToVal(left + width, "x") * 1000;
          const first = buckets.findLast((bucket) => Date.parse(bucket.start) <= from) ?? buckets[0];
          const last = buckets.find((bucket) => Date.parse(bucket.end) >= to) ?? buckets.at(-1);
          if (first && last) {
            latest.current.onRange({ from: first.start, to: last.end });
          }
        },
      ],
    },
  };
}

/** Failures are hatched, so that they can be told from the rest without their colour. */
function hatched(colour: string, ground: string): CanvasPattern | string {
  const tile = document.createElement("canvas");
  const size = HATCH * devicePixelRatio;
  tile.width = tile.height = size;
  const context = tile.getContext("2d");
  if (!context) {
    return colour;
  }
  context.fillStyle = colour;
  context.fillRect(0, 0, size, size);
  context.strokeStyle = ground;
  context.globalAlpha = 0.55;
  context.lineWidth = size / 5;
  for (const shift of [-size, 0, size]) {
    context.moveTo(shift, size);
    context.lineTo(shift + size, 0);
  }
  context.stroke();
  return context.createPattern(tile, "repeat") ?? colour;
}

function useDark(): boolean {
  const [dark, setDark] = useState(() => matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setDark(query.matches);
    query.addEventListener("change", follow);
    return () => query.removeEventListener("change", follow);
  }, []);
  return dark;
}

interface SlidersProps {
  readonly buckets: readonly Bucket[];
  readonly named: (at: string) => string;
  readonly onRange: (range: Range) => void;
}

function Sliders({ buckets, named, onRange }: SlidersProps) {
  const last = buckets.length;
  const [from, setFrom] = useState(0);
  const [to, setTo] = useState(last);
  const changed = from > 0 || to < last;
  useEffect(() => {
    if (!changed) {
      return;
    }
    const timer = setTimeout(() => {
      const first = buckets[from];
      const final = buckets[to - 1];
      if (first && final) {
        onRange({ from: first.start, to: final.end });
      }
    }, PAUSE);
    return () => clearTimeout(timer);
  }, [from, to, changed, buckets, onRange]);
  const ends = (index: number) => named(buckets[Math.min(index, last - 1)]?.[index < last ? "start" : "end"] ?? "");
  return (
    <div className="sliders">
      <input
        type="range"
        aria-label="Range begins"
        aria-valuetext={ends(from)}
        min={0}
        max={last}
        value={from}
        onChange={({ currentTarget }) => setFrom(Math.min(Number(currentTarget.value), to - 1))}
      />
      <input
        type="range"
        aria-label="Range ends"
        aria-valuetext={ends(to)}
        min={0}
        max={last}
        value={to}
        onChange={({ currentTarget }) => setTo(Math.max(Number(currentTarget.value), from + 1))}
      />
    </div>
  );
}

function Table({ buckets, named }: Omit<SlidersProps, "onRange">) {
  const [open, setOpen] = useState(false);
  const id = useId();
  return (
    <details className="as-table" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary aria-controls={id}>As a table</summary>
      <div id={id} className="scrolling" role="region" aria-label="Timeline as a table" tabIndex={open ? 0 : -1}>
        {open && (
          <table>
            <thead>
              <tr>
                <th scope="col">From</th>
                {SERIES.map((name) => (
                  <th key={name} scope="col" className="number">
                    {NAMES[name]}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {buckets
                .filter((bucket) => SERIES.some((name) => bucket[name] > 0))
                .map((bucket) => (
                  <tr key={bucket.start}>
                    <th scope="row">{named(bucket.start)}</th>
                    {SERIES.map((name) => (
                      <td key={name} className="number">
                        {count(bucket[name])}
                      </td>
                    ))}
                  </tr>
                ))}
            </tbody>
          </table>
        )}
      </div>
    </details>
  );
}
