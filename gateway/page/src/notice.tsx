import { type ReactNode, useEffect, useState } from "react";
import type { Failure } from "./failure.ts";

/** A thing that went wrong, or that is not there: what it is, what to do about it, and what does that. */
export function Notice({ title, children, actions }: { title: string; children?: ReactNode; actions?: ReactNode }) {
  return (
    <section className="notice" role="status">
      <h2>{title}</h2>
      {children}
      {actions && <p className="actions">{actions}</p>}
    </section>
  );
}

export interface Remedies {
  readonly onRetry: () => void;
  readonly onNarrow: () => void;
  readonly onKey: () => void;
}

export function FailureNotice({ failure, onRetry, onNarrow, onKey }: { failure: Failure } & Remedies) {
  const { title, advice, remedy, retryAfter, requestId } = failure;
  const left = useCountdown(retryAfter, onRetry, failure);
  return (
    <Notice
      title={title}
      actions={
        <>
          {(remedy === "key" || remedy === "organization") && (
            <button type="button" className="primary" onClick={onKey}>
              {remedy === "key" ? "Enter a key" : "Choose an organization"}
            </button>
          )}
          {remedy === "narrow" && (
            <button type="button" className="primary" onClick={onNarrow}>
              Last 24 hours
            </button>
          )}
          {(remedy === "retry" || remedy === "narrow" || remedy === "newest") && (
            <button type="button" onClick={onRetry}>
              {remedy === "newest" ? "Show the newest" : "Try again"}
            </button>
          )}
        </>
      }
    >
      <p>
        {advice}
        {left !== null && ` The page asks again in ${left} s.`}
      </p>
      {requestId && remedy !== "key" && <p className="quiet">Request {requestId}</p>}
    </Notice>
  );
}

function useCountdown(seconds: number | null, onEnd: () => void, subject: unknown): number | null {
  const [left, setLeft] = useState(seconds);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new failure begins a new countdown
  useEffect(() => setLeft(seconds), [subject]);
  useEffect(() => {
    if (left === null) {
      return;
    }
    const timer = setTimeout(() => (left > 1 ? setLeft(left - 1) : onEnd()), 1000);
    return () => clearTimeout(timer);
  }, [left, onEnd]);
  return left;
}
