import { useEffect, useState } from "react";
import type { Investigated } from "./documents.ts";
import { atSecond, lasting } from "./time.ts";

/** What happens next with a delivery in flight, in words, and how long it is until then. */
export function NextAttempt({ delivery, zone }: { delivery: Investigated; zone: string }) {
  const [now, setNow] = useState(Date.now);
  const { inFlight, willRetry, nextAttemptAt, attemptCount, maxAttempts } = delivery;
  useEffect(() => {
    if (!inFlight) {
      return;
    }
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [inFlight]);
  if (!inFlight) {
    return null;
  }
  const ordinal = `Attempt ${(attemptCount ?? 0) + 1}${maxAttempts === null ? "" : ` of ${maxAttempts}`}`;
  if (!nextAttemptAt) {
    return (
      <p className="next-attempt">
        {willRetry ? `${ordinal} is planned, at no certain time.` : "No attempt is planned."}
      </p>
    );
  }
  const left = Date.parse(nextAttemptAt) - now;
  return (
    <p className={left < 0 ? "next-attempt late" : "next-attempt"}>
      {ordinal} {left < 0 ? "was due" : "is due"}{" "}
      <b className="ticking">{left < 0 ? `${lasting(-left)} ago` : `in ${lasting(Math.ceil(left / 1000) * 1000)}`}</b>,{" "}
      <time dateTime={nextAttemptAt}>{atSecond(nextAttemptAt, zone)}</time>
      {left < 0 && ". The platform is late"}.
    </p>
  );
}
