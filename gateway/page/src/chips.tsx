import { CUSTOM, cleared, DEFAULT_RANGE, isFiltered, MANY, ONE, type View } from "./address.ts";
import { words } from "./state.ts";
import { atMinute } from "./time.ts";

const LABELS = {
  status: "Status",
  reason: "Reason",
  host: "Host",
  event: "Event",
  http: "HTTP",
  automatic: "Made",
  state: "State",
  batch: "Batch",
  url: "URL begins with",
  error: "Error has",
  metadata: "Metadata",
} as const;

/** What is filtered by, each with a way to take it back. */
export function Chips({ view, zone, onView }: { view: View; zone: string; onView: (view: View) => void }) {
  if (!isFiltered(view) && view.range !== CUSTOM) {
    return null;
  }
  return (
    <ul className="chips" aria-label="Filters">
      {view.range === CUSTOM && (
        <Chip
          label="Time"
          value={`${atMinute(view.from, zone)} to ${atMinute(view.to, zone)}`}
          onRemove={() => onView({ ...view, range: DEFAULT_RANGE, from: "", to: "" })}
        />
      )}
      {MANY.flatMap((name) =>
        view[name].map((value) => (
          <Chip
            key={`${name} ${value}`}
            label={LABELS[name]}
            value={name === "host" ? value : words(value)}
            onRemove={() => onView({ ...view, [name]: view[name].filter((each) => each !== value) })}
          />
        )),
      )}
      {ONE.filter((name) => view[name]).map((name) => (
        <Chip
          key={name}
          label={LABELS[name]}
          value={shown(name, view[name])}
          onRemove={() => onView({ ...view, [name]: "" })}
        />
      ))}
      {isFiltered(view) && (
        <li>
          <button type="button" className="plain" onClick={() => onView(cleared(view))}>
            Clear all
          </button>
        </li>
      )}
    </ul>
  );
}

function shown(name: (typeof ONE)[number], value: string): string {
  if (name === "automatic") {
    return value === "true" ? "automatically" : "by hand";
  }
  return name === "state" ? (value === "overdue" ? "overdue" : "in flight") : value;
}

function Chip({ label, value, onRemove }: { label: string; value: string; onRemove: () => void }) {
  return (
    <li className="chip">
      <span>
        {label} <b>{value}</b>
      </span>
      <button type="button" aria-label={`Remove the filter ${label} ${value}`} onClick={onRemove}>
        ×
      </button>
    </li>
  );
}
