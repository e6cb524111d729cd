import type { Many, View } from "./address.ts";
import { EVENTS } from "./filter.ts";
import type { DeliveriesQuery } from "./operations.ts";
import { words } from "./state.ts";
import { compact, percent } from "./time.ts";

interface Choice {
  readonly value: string;
  readonly label: string;
  readonly count: number | null;
  readonly hint?: string;
}

const STATUS_CLASSES = ["2xx", "3xx", "4xx", "5xx"] as const;

/** What the deliveries have in common, with how many there are: each a filter. */
export function Facets({
  data,
  view,
  onView,
}: {
  data: DeliveriesQuery | null;
  view: View;
  onView: (view: View) => void;
}) {
  const many = (name: Many) => ({
    chosen: view[name],
    onToggle: (value: string) => {
      const chosen = view[name].includes(value) ? view[name].filter((each) => each !== value) : [...view[name], value];
      onView({ ...view, [name]: [...chosen].sort() });
    },
  });
  const one = (name: "http" | "automatic") => ({
    chosen: view[name] ? [view[name]] : [],
    onToggle: (value: string) => onView({ ...view, [name]: view[name] === value ? "" : value }),
  });
  const stats = data?.callbackStats;
  return (
    <div className="facets">
      <Facet
        title="Status"
        {...many("status")}
        choices={(data?.anyStatus ?? stats)?.byStatus.map(({ statusCode, deliveries }) =>
          choice(statusCode, deliveries),
        )}
      />
      <Facet
        title="Reason"
        {...many("reason")}
        choices={(data?.anyReason ?? stats)?.byFailureReason.map(({ failureReasonCode, deliveries }) =>
          choice(failureReasonCode, deliveries),
        )}
      />
      <Facet
        title="Host"
        {...many("host")}
        choices={(data?.anyHost ?? stats)?.byHost.map(({ host, deliveries, successRate }) => ({
          value: host ?? "",
          label: host ?? "",
          count: deliveries,
          hint: `${percent(successRate)} delivered`,
        }))}
      />
      <Facet
        title="HTTP status"
        note="Attempts, not deliveries"
        {...one("http")}
        choices={stats && httpChoices((data.anyHttp ?? stats).byResponseStatus)}
      />
      <Facet
        title="Event"
        {...many("event")}
        choices={
          data &&
          Object.entries(EVENTS).map(([name, value]) => ({
            value,
            label: words(value),
            count: data[name as keyof typeof EVENTS].deliveries,
          }))
        }
      />
      <Facet
        title="Made"
        {...one("automatic")}
        choices={
          data && [
            { value: "true", label: "Automatically", count: data.automatic.deliveries },
            { value: "false", label: "By hand", count: data.byHand.deliveries },
          ]
        }
      />
    </div>
  );
}

function choice(code: string | null, deliveries: number): Choice {
  return { value: code ?? "", label: words(code ?? ""), count: deliveries };
}

function httpChoices(counted: readonly { statusCode: number | null; attempts: number }[]): Choice[] {
  const sum = (from: number, to: number) =>
    counted.reduce((all, { statusCode, attempts }) => {
      return statusCode !== null && statusCode >= from && statusCode < to ? all + attempts : all;
    }, 0);
  const classes = STATUS_CLASSES.map((value) => {
    const from = Number(value[0]) * 100;
    return { value, label: value, count: sum(from, from + 100) };
  });
  const exact = counted
    .filter(({ statusCode }) => statusCode !== null && statusCode >= 300)
    .map(({ statusCode, attempts }) => ({ value: String(statusCode), label: String(statusCode), count: attempts }));
  const none = counted.find(({ statusCode }) => statusCode === null)?.attempts ?? 0;
  return [...classes, { value: "none", label: "No answer", count: none }, ...exact].filter(({ count }) => count > 0);
}

interface FacetProps {
  readonly title: string;
  readonly note?: string;
  readonly choices: readonly Choice[] | null | undefined;
  readonly chosen: readonly string[];
  readonly onToggle: (value: string) => void;
}

function Facet({ title, note, choices, chosen, onToggle }: FacetProps) {
  const named = choices?.filter(({ value }) => value !== "") ?? [];
  const missing = chosen.filter((value) => !named.some((each) => each.value === value));
  const shown = [...named, ...missing.map((value) => ({ value, label: value, count: choices ? 0 : null }))];
  const largest = Math.max(1, ...named.map((each) => each.count ?? 0));
  return (
    <fieldset>
      <legend>
        {title}
        {note && <small> {note}</small>}
      </legend>
      {!choices && [0, 1, 2].map((line) => <div key={line} className="choice skeleton" />)}
      {choices && shown.length === 0 && <p className="quiet">None</p>}
      {shown.map(({ value, label, count, hint }: Choice) => (
        <label key={value} className="choice" title={hint ? `${label}: ${hint}` : label}>
          <input type="checkbox" checked={chosen.includes(value)} onChange={() => onToggle(value)} />
          <span className="name">{label}</span>
          <span className="count">{count === null ? "" : compact(count)}</span>
          <meter min={0} max={largest} value={count ?? 0} aria-hidden="true" />
        </label>
      ))}
    </fieldset>
  );
}
