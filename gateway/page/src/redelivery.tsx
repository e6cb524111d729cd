import { type ReactNode, useEffect, useState } from "react";
import { useClient } from "urql";
import { Dialog } from "./dialog.tsx";
import { type Filter, type Investigated, type Outcome, type Plan, REDELIVER, REDELIVER_MANY } from "./documents.ts";
import { failureOf } from "./failure.ts";
import type { RedeliverMutation } from "./operations.ts";
import { splitUrl, words } from "./state.ts";
import { count } from "./time.ts";

const AT_ONCE = 100; // batches that one plan is for

interface OneProps {
  readonly delivery: Investigated;
  readonly onOpen: (id: string) => void;
}

/** Has one callback delivered again, after a question, and says what came of it. */
export function DeliverAgain({ delivery, onOpen }: OneProps) {
  const client = useClient();
  const [asking, setAsking] = useState(false);
  const [state, setState] = useState<"" | "sent">("");
  const [result, setResult] = useState<RedeliverMutation["redeliverCallback"] | null>(null);
  const [failed, setFailed] = useState("");
  const batchId = delivery.batch?.id;
  if (!batchId) {
    return null;
  }
  const close = () => {
    setAsking(false);
    setResult(null);
    setFailed("");
  };
  const send = async () => {
    setState("sent");
    const { data, error } = await client.mutation(REDELIVER, { batchId }).toPromise();
    setState("");
    setResult(data?.redeliverCallback ?? null);
    setFailed(error ? told(error) : "");
  };
  return (
    <>
      <button type="button" className="primary" onClick={() => setAsking(true)}>
        Deliver again
      </button>
      {asking && (
        <Dialog title="Deliver this callback again?" onClose={close}>
          {result?.__typename === "RedeliveryMade" ? (
            <Done
              text="The platform took it. Its attempts follow as they are made."
              actions={
                <button type="button" className="primary" onClick={() => onOpen(result.delivery.id)}>
                  Open the new delivery
                </button>
              }
              onClose={close}
            />
          ) : result ? (
            <Done
              text={
                result.__typename === "RedeliveryUnknown"
                  ? `${result.message} Look at the batch before you ask again.`
                  : "message" in result
                    ? `Nothing was sent. ${result.message}`
                    : "Nothing was sent."
              }
              onClose={close}
            />
          ) : (
            <>
              <p>
                The platform sends the callback of batch <code>{batchId}</code> to{" "}
                <b>{splitUrl(delivery.callbackUrl).host}</b> once more, as a delivery of its own.
              </p>
              <p role="alert" className="complaining">
                {failed}
              </p>
              <p className="actions">
                <button type="button" className="primary" onClick={send} disabled={state === "sent"}>
                  {state === "sent" ? "Asking the platform …" : "Deliver again"}
                </button>
                <button type="button" onClick={close}>
                  Cancel
                </button>
              </p>
            </>
          )}
        </Dialog>
      )}
    </>
  );
}

function Done({ text, actions, onClose }: { text: string; actions?: ReactNode; onClose: () => void }) {
  return (
    <>
      <p role="status">{text}</p>
      <p className="actions">
        {actions}
        <button type="button" onClick={onClose}>
          Close
        </button>
      </p>
    </>
  );
}

const told = (error: Parameters<typeof failureOf>[0]): string => {
  const { title, advice } = failureOf(error, true);
  return `${title}. ${advice}`;
};

/** Has the callbacks of all batches delivered again whose latest delivery the filter keeps: the plan comes first. */
export function DeliverAllAgain({ filter, onChanged }: { filter: Filter; onChanged: () => void }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>
        Deliver again …
      </button>
      {open && (
        <Dialog
          title="Deliver these callbacks again?"
          onClose={() => {
            setOpen(false);
          }}
        >
          <Bulk
            filter={filter}
            onClose={() => {
              setOpen(false);
            }}
            onChanged={onChanged}
          />
        </Dialog>
      )}
    </>
  );
}

interface BulkProps {
  readonly filter: Filter;
  readonly onClose: () => void;
  readonly onChanged: () => void;
}

function Bulk({ filter, onClose, onChanged }: BulkProps) {
  const client = useClient();
  const [plan, setPlan] = useState<Plan | null>(null);
  const [results, setResults] = useState<readonly Outcome[] | null>(null);
  const [token, setToken] = useState<string | null>(null);
  const [failed, setFailed] = useState("");
  const [running, setRunning] = useState(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the plan is for the filter that was seen when it was asked
  useEffect(() => {
    let wanted = true;
    const asked = client.mutation(REDELIVER_MANY, { filter, first: AT_ONCE, dryRun: true, token: null }).toPromise();
    void asked.then(({ data, error }) => {
      if (wanted) {
        setPlan(data?.redeliverCallbacks ?? null);
        setToken(data?.redeliverCallbacks.token ?? null);
        setFailed(error ? told(error) : "");
      }
    });
    return () => {
      wanted = false;
    };
  }, []);
  const run = async () => {
    setRunning(true);
    const { data, error } = await client
      .mutation(REDELIVER_MANY, { filter, first: AT_ONCE, dryRun: false, token })
      .toPromise();
    setRunning(false);
    setFailed(error ? told(error) : "");
    if (data) {
      setResults((before) => [...(before ?? []), ...data.redeliverCallbacks.results]);
      setToken(data.redeliverCallbacks.token);
      onChanged();
    }
  };
  const planned = plan?.results.filter(({ __typename }) => __typename === "RedeliveryPlanned").length ?? 0;
  const left = results?.filter((each) => each.__typename === "RedeliveryRefused" && each.reason === "NOT_BEGUN").length;
  return (
    <>
      {failed && (
        <p role="alert" className="complaining">
          {failed}
        </p>
      )}
      {!plan && !failed && <p role="status">Planning …</p>}
      {plan && !results && (
        <>
          <p role="status">
            <b>{count(planned)}</b> of{" "}
            {plan.totalCount
              ? `${plan.totalCount.precision === "CAPPED" ? "more than " : ""}${count(plan.totalCount.value)}`
              : count(plan.results.length)}{" "}
            batches are planned, those first that wait longest. Nothing has been sent yet.
          </p>
          <Summary outcomes={plan.results} />
        </>
      )}
      {results && (
        <div role="status">
          <Summary outcomes={results} />
        </div>
      )}
      <p className="actions">
        {token && planned > 0 && (
          <button type="button" className="danger" onClick={run} disabled={running}>
            {running
              ? "Asking the platform …"
              : results
                ? `Go on with the other ${count(left ?? 0)}`
                : `Deliver ${count(planned)} again`}
          </button>
        )}
        <button type="button" onClick={onClose}>
          {results ? "Close" : "Cancel"}
        </button>
      </p>
    </>
  );
}

/** How many outcomes there are of each kind, and for those refused why. */
export function summaryOf(outcomes: readonly Outcome[]): [string, number][] {
  const counted = new Map<string, number>();
  for (const outcome of outcomes) {
    const name =
      outcome.__typename === "RedeliveryRefused"
        ? `${outcome.reason === "NOT_BEGUN" ? "Not begun" : `Refused: ${words(outcome.reason.toLowerCase()).toLowerCase()}`}`
        : { RedeliveryMade: "Delivered to the platform", RedeliveryPlanned: "Planned", RedeliveryUnknown: "Unknown" }[
            outcome.__typename
          ];
    counted.set(name, (counted.get(name) ?? 0) + 1);
  }
  return [...counted].sort(([, one], [, other]) => other - one);
}

function Summary({ outcomes }: { outcomes: readonly Outcome[] }) {
  return (
    <dl className="summary">
      {summaryOf(outcomes).map(([name, number]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{count(number)}</dd>
        </div>
      ))}
    </dl>
  );
}
