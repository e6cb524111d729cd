import { Component, type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Client, fetchExchange, Provider, useClient } from "urql";
import { ALL, CUSTOM, EMPTY, RANGES, readAddress, type View, writeAddress } from "./address.ts";
import { Chips } from "./chips.tsx";
import type { Config } from "./config.ts";
import { KeyForm } from "./credentials.tsx";
import { Deliveries } from "./deliveries.tsx";
import { Delivery } from "./delivery.tsx";
import { FIND } from "./documents.ts";
import { failureOf } from "./failure.ts";
import type { DeliveriesQuery } from "./operations.ts";
import { SearchBox } from "./searchbox.tsx";
import { useSession } from "./session.ts";
import { ownZone } from "./time.ts";

const TICK = 30_000; // milliseconds after which "3 min ago" is told anew
const ZONES = Intl.supportedValuesOf("timeZone");

export function App({ config }: { config: Config }) {
  const [apiKey, setApiKey] = useSession("key", config.apiKey);
  const [organization, setOrganization] = useSession("organization", "");
  const client = useMemo(
    () =>
      new Client({
        url: config.endpoint,
        exchanges: [fetchExchange],
        preferGetMethod: false,
        fetchSubscriptions: true,
        requestPolicy: "network-only",
        fetchOptions: {
          headers: {
            ...(apiKey && { Authorization: `Bearer ${apiKey}` }),
            ...(organization && { "X-Organization-Id": organization }),
          },
        },
      }),
    [config.endpoint, apiKey, organization],
  );
  return (
    <Boundary>
      <Provider value={client}>
        <Page
          key={`${apiKey} ${organization}`}
          config={config}
          apiKey={apiKey}
          organization={organization}
          onCredential={(key, chosen) => {
            setApiKey(key);
            setOrganization(chosen);
          }}
        />
      </Provider>
    </Boundary>
  );
}

interface PageProps {
  readonly config: Config;
  readonly apiKey: string;
  readonly organization: string;
  readonly onCredential: (apiKey: string, organization: string) => void;
}

function Page({ config, apiKey, organization, onCredential }: PageProps) {
  const client = useClient();
  const [view, show] = useView();
  const [now, setNow] = useState(Date.now);
  const [clock, setClock] = useState(now);
  const [viewer, setViewer] = useState<DeliveriesQuery["viewer"] | null>(null);
  const credentials = useRef<HTMLDetailsElement>(null);
  const keyField = useRef<HTMLInputElement>(null);
  const searchField = useRef<HTMLInputElement>(null);
  const zone = view.zone || ownZone();

  useEffect(() => {
    const timer = setInterval(() => setClock(Date.now()), TICK);
    return () => clearInterval(timer);
  }, []);
  const refresh = useCallback(() => {
    setNow(Date.now());
    setClock(Date.now());
  }, []);
  const enterKey = useCallback(() => {
    if (credentials.current) {
      credentials.current.open = true;
      keyField.current?.focus();
    }
  }, []);
  useShortcuts(searchField, view, show);
  const listed = useListed(view);
  useTitle(view);

  const find = async (id: string): Promise<string | null> => {
    const { data, error } = await client.query(FIND, { id }).toPromise();
    if (error) {
      return failureOf(error, apiKey !== "").title;
    }
    if (data?.callbackDelivery) {
      show({ ...view, delivery: data.callbackDelivery.id });
      return null;
    }
    if (data?.batch) {
      show({ ...EMPTY, zone: view.zone, range: ALL, batch: data.batch.id });
      return null;
    }
    return "No delivery and no batch has this id.";
  };

  return (
    <>
      <a className="skip" href="#main">
        To the deliveries
      </a>
      <header className="top">
        <a
          className="brand"
          href="/"
          onClick={(event) => {
            event.preventDefault();
            show({ ...EMPTY, zone: view.zone });
          }}
        >
          <svg viewBox="0 0 16 16" aria-hidden="true">
            <rect width="16" height="16" rx="3.5" />
            <path d="M4 5.5h8v4H7.5L5.5 11.5V9.5H4z" />
          </svg>
          Callback deliveries
        </a>
        <span className="organization">{viewer?.organization.name ?? viewer?.organization.id ?? ""}</span>
        <SearchBox view={view} field={searchField} onView={(next) => show({ ...next, delivery: "" })} onFind={find} />
        <div className="controls">
          <select
            aria-label="Time"
            value={view.range}
            onChange={({ currentTarget }) => {
              refresh();
              show({ ...view, range: currentTarget.value, from: "", to: "" });
            }}
          >
            {Object.entries(RANGES).map(([name, { label }]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
            <option value={ALL}>All time</option>
            {view.range === CUSTOM && <option value={CUSTOM}>A drawn range</option>}
          </select>
          <select
            aria-label="Time zone"
            value={view.zone}
            onChange={({ currentTarget }) => show({ ...view, zone: currentTarget.value })}
          >
            <option value="">Your time ({ownZone()})</option>
            <option value="UTC">UTC</option>
            {ZONES.filter((name) => name !== "UTC").map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
          <button type="button" onClick={refresh}>
            Refresh
          </button>
          <details ref={credentials} className="credentials">
            <summary>{apiKey ? "Key" : "Enter a key"}</summary>
            <div className="panel">
              <KeyForm apiKey={apiKey} organization={organization} onEnter={onCredential} field={keyField} />
            </div>
          </details>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {!view.delivery && <h1 className="said">Callback deliveries</h1>}
        {apiKey === "" ? (
          <section className="notice welcome">
            <h2>Enter a key to see deliveries</h2>
            <p>
              This page shows what became of the callbacks of your organization. It needs an API key or a token with the
              scope <code>batches:read</code>.
            </p>
            <KeyForm apiKey={apiKey} organization={organization} onEnter={onCredential} />
          </section>
        ) : (
          <>
            {view.delivery && (
              <Delivery
                id={view.delivery}
                view={view}
                zone={zone}
                config={config}
                hasKey={apiKey !== ""}
                onView={show}
                onViewer={setViewer}
                onKey={enterKey}
              />
            )}
            {listed && (
              <div hidden={view.delivery !== ""}>
                <Chips view={view} zone={zone} onView={show} />
                <Deliveries
                  view={view}
                  zone={zone}
                  config={config}
                  now={now}
                  clock={clock}
                  hasKey={apiKey !== ""}
                  onView={show}
                  onRefresh={refresh}
                  onViewer={setViewer}
                  onKey={enterKey}
                />
              </div>
            )}
          </>
        )}
      </main>
    </>
  );
}

/** The view that the address tells, and how to show another: a step in the browser's history. */
function useView(): [View, (view: View) => void] {
  const [view, setView] = useState(() => readAddress(location.search));
  useEffect(() => {
    const follow = () => setView(readAddress(location.search));
    addEventListener("popstate", follow);
    return () => removeEventListener("popstate", follow);
  }, []);
  const show = useCallback((next: View) => {
    history.pushState(null, "", writeAddress(next));
    setView(next);
  }, []);
  return [view, show];
}

/** Whether the list is in the page: once it was seen it stays, and is where it was left when a delivery is closed. */
function useListed({ delivery }: View): boolean {
  const [listed, setListed] = useState(delivery === "");
  const left = useRef(0);
  if (!listed && delivery === "") {
    setListed(true);
  }
  useEffect(() => {
    if (delivery) {
      return;
    }
    scrollTo(0, left.current);
    const follow = () => {
      left.current = scrollY;
    };
    addEventListener("scroll", follow, { passive: true });
    return () => removeEventListener("scroll", follow);
  }, [delivery]);
  return listed;
}

/** `/` goes to the search, Escape back to the list. */
function useShortcuts(field: React.RefObject<HTMLInputElement | null>, view: View, show: (view: View) => void) {
  useEffect(() => {
    const act = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
      if (event.key === "/" && !typing) {
        event.preventDefault();
        field.current?.focus();
      } else if (event.key === "Escape" && !typing && view.delivery && !document.querySelector("dialog[open]")) {
        show({ ...view, delivery: "" });
      }
    };
    addEventListener("keydown", act);
    return () => removeEventListener("keydown", act);
  }, [field, view, show]);
}

function useTitle({ delivery }: View) {
  useEffect(() => {
    document.title = delivery ? `Delivery ${delivery.slice(0, 8)} · Callback deliveries` : "Callback deliveries";
  }, [delivery]);
}

/** Says that the page failed and how to go on, where React would leave it blank. */
class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state = { error: null as Error | null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    return this.state.error ? (
      <p className="notice" role="alert">
        The page failed: {this.state.error.message}. Reload it; if it fails again, <a href="/">begin without filters</a>
        .
      </p>
    ) : (
      this.props.children
    );
  }
}
