import { type Standing, stateOf, type Tone } from "./state.ts";

const SIGNS: Readonly<Record<Tone, string>> = {
  good: "M3 8.5l3.2 3.2L13 5",
  bad: "M4 4l8 8M12 4l-8 8",
  waiting: "M8 3.5V8l3 2",
  late: "M8 3v6.5M8 12v.6",
  plain: "M4 8h8",
};

export function Sign({ tone }: { tone: Tone }) {
  return (
    <svg className="sign" viewBox="0 0 16 16" aria-hidden="true">
      <path d={SIGNS[tone]} />
    </svg>
  );
}

/** The state of a delivery in a word, a sign and a colour. */
export function Badge(standing: Standing) {
  const { word, tone } = stateOf(standing);
  return (
    <span className={`badge ${tone}`}>
      <Sign tone={tone} />
      {word}
    </span>
  );
}

export function Http({ status }: { status: number | null | undefined }) {
  return status === null || status === undefined ? (
    <span className="quiet">no answer</span>
  ) : (
    <span className={status < 300 ? "http" : "http bad"}>{status}</span>
  );
}
