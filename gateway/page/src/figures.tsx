import type { View } from "./address.ts";
import type { Stats } from "./documents.ts";
import { compact, milliseconds, percent } from "./time.ts";

/** The numbers of what the filter keeps. Two of them are filters as well. */
export function Figures({ stats, view, onView }: { stats: Stats | null; view: View; onView: (view: View) => void }) {
  const times = stats?.responseTimeMs;
  const toggle = (state: string) => onView({ ...view, state: view.state === state ? "" : state });
  return (
    <dl className="figures" aria-label="Figures" aria-busy={stats === null}>
      <Figure name="Deliveries" value={stats && compact(stats.deliveries)} />
      <Figure name="Success rate" value={stats && percent(stats.successRate)} />
      <Figure name="Failed" value={stats && compact(stats.failed)} tone={stats?.failed ? "bad" : ""} />
      <Figure
        name="In flight"
        value={stats && compact(stats.inFlight)}
        pressed={view.state === "inFlight"}
        onPress={() => toggle("inFlight")}
      />
      <Figure
        name="Overdue"
        value={stats && compact(stats.overdue)}
        tone={stats?.overdue ? "late" : ""}
        pressed={view.state === "overdue"}
        onPress={() => toggle("overdue")}
      />
      <Figure name="p50" value={times && milliseconds(times.p50)} />
      <Figure name="p95" value={times && milliseconds(times.p95)} />
      <Figure name="p99" value={times && milliseconds(times.p99)} />
    </dl>
  );
}

interface FigureProps {
  readonly name: string;
  readonly value: string | null | undefined;
  readonly tone?: string;
  readonly pressed?: boolean;
  readonly onPress?: () => void;
}

function Figure({ name, value, tone = "", pressed, onPress }: FigureProps) {
  const shown = value ?? <span className="skeleton word" />;
  return (
    <div>
      <dt>{name}</dt>
      <dd className={tone}>
        {onPress ? (
          <button type="button" aria-pressed={pressed} aria-label={`${name}: ${value ?? ""}`} onClick={onPress}>
            {shown}
          </button>
        ) : (
          shown
        )}
      </dd>
    </div>
  );
}
