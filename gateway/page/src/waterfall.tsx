import type { ReactNode } from "react";
import { Http } from "./badge.tsx";
import type { Attempt, Investigated } from "./documents.ts";
import { atSecond, lasting, milliseconds } from "./time.ts";

const THINNEST = 0.8; // percent of the width that even the shortest attempt has

interface Step {
  readonly attempt: Attempt;
  /** Milliseconds since the attempt before it ended, or since the delivery was created. */
  readonly waited: number;
  readonly left: number;
  readonly width: number;
  readonly waitLeft: number;
  readonly waitWidth: number;
}

/** Where each attempt lies between the delivery's creation and what is known of its end, in percent. */
export function stepsOf(delivery: Pick<Investigated, "createdAt" | "nextAttemptAt" | "attempts">): {
  steps: Step[];
  next: number | null;
  span: number;
} {
  const start = Date.parse(delivery.createdAt);
  const ends = delivery.attempts.map((attempt) => Date.parse(attempt.createdAt) + (attempt.responseTimeMs ?? 0));
  const planned = delivery.nextAttemptAt ? Date.parse(delivery.nextAttemptAt) : 0;
  const span = Math.max(1, ...ends.map((end) => end - start), planned - start);
  const percent = (length: number) => (Math.max(0, length) / span) * 100;
  const steps = delivery.attempts.map((attempt, index) => {
    const before = index === 0 ? start : (ends[index - 1] ?? start);
    const begun = Date.parse(attempt.createdAt);
    const width = Math.max(THINNEST, percent(attempt.responseTimeMs ?? 0));
    return {
      attempt,
      waited: Math.max(0, begun - before),
      left: Math.min(100 - width, percent(begun - start)),
      width,
      waitLeft: percent(before - start),
      waitWidth: percent(begun - before),
    };
  });
  return { steps, next: planned ? Math.min(99, percent(planned - start)) : null, span };
}

interface Props {
  readonly delivery: Investigated;
  readonly zone: string;
  readonly children: (attempt: Attempt) => ReactNode;
}

/** The attempts of a delivery in time, with the waits between them. */
export function Waterfall({ delivery, zone, children }: Props) {
  const { steps, next, span } = stepsOf(delivery);
  if (steps.length === 0) {
    return <p className="quiet">No attempt was made yet.</p>;
  }
  const last = steps.at(-1)?.attempt.id;
  return (
    <ol className="waterfall" aria-label={`Attempts over ${lasting(span)}`}>
      {steps.map(({ attempt, waited, left, width, waitLeft, waitWidth }) => {
        const good = attempt.statusCode !== null && attempt.statusCode < 300;
        return (
          <li key={attempt.id}>
            <details open={attempt.id === last}>
              <summary>
                <span className="nth">
                  <span className="said">Attempt </span>
                  {attempt.attemptNumber}
                </span>
                <Http status={attempt.statusCode} />
                <span className="track" aria-hidden="true">
                  <i className="wait" style={{ left: `${waitLeft}%`, width: `${waitWidth}%` }} />
                  <i className={good ? "try good" : "try bad"} style={{ left: `${left}%`, width: `${width}%` }} />
                  {next !== null && <i className="next" style={{ left: `${next}%` }} />}
                </span>
                <span className="number">{milliseconds(attempt.responseTimeMs)}</span>
                <span className="quiet waited">{waited < 1000 ? "at once" : `after ${lasting(waited)}`}</span>
              </summary>
              <div className="inside">
                <p className="quiet">
                  Made <time dateTime={attempt.createdAt}>{atSecond(attempt.createdAt, zone)}</time>
                </p>
                {children(attempt)}
              </div>
            </details>
          </li>
        );
      })}
    </ol>
  );
}
