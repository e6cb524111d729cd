import { useEffect, useRef, useState } from "react";
import { type CombinedError, createRequest, useClient } from "urql";
import { onEnd, pipe, subscribe } from "wonka";
import type { Sent } from "./documents.ts";

const PAUSES = [1, 2, 4, 8, 15, 30]; // seconds until a lost connection is tried again, the last one again and again
const TOO_OLD = "CURSOR_TOO_OLD";
const HOPELESS = /^(GRAPHQL_|PERSISTED_|DOCUMENT_|BAD_|UNAUTHORIZED|PERMISSION_|NOT_ACCEPTABLE|METHOD_)/;

export type Connection = "off" | "connecting" | "live" | "lost";

interface Watched<Data, Variables> {
  readonly document: Sent<Data, Variables>;
  /** Without `after`: a connection that is taken up again goes on behind the last event. Null watches nothing. */
  readonly variables: Omit<Variables, "after"> | null;
  readonly cursorOf: (data: Data) => string;
  readonly onEvent: (data: Data) => void;
  /** More has changed than can be told: what is shown has to be read again. */
  readonly onGap: () => void;
}

/** Watches what changes, for as long as the variables stay the same, whatever happens to the connection. */
export function useLive<Data, Variables>(watched: Watched<Data, Variables>): Connection {
  const client = useClient();
  const [connection, setConnection] = useState<Connection>("off");
  const latest = useRef(watched);
  latest.current = watched;
  const cursor = useRef<{ of: string; at: string } | null>(null);
  const key = watched.variables && JSON.stringify(watched.variables);
  useEffect(() => {
    if (key === null) {
      setConnection("off");
      return;
    }
    let tries = 0;
    let ended = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let stop = () => {};
    const lost = (error?: CombinedError) => {
      if (ended) {
        return;
      }
      stop();
      const code = String(error?.graphQLErrors[0]?.extensions?.code ?? "");
      if (HOPELESS.test(code)) {
        setConnection("off");
        return;
      }
      if (code === TOO_OLD) {
        cursor.current = null;
        latest.current.onGap();
      }
      setConnection("lost");
      timer = setTimeout(connect, 1000 * (PAUSES[Math.min(tries, PAUSES.length - 1)] ?? 30));
      tries += 1;
    };
    const connect = () => {
      const { document, cursorOf } = latest.current;
      const after = cursor.current?.of === key ? cursor.current.at : null;
      const request = createRequest(document, { ...JSON.parse(key), after });
      const opened: typeof fetch = async (...asked) => {
        const response = await fetch(...asked);
        if (response.ok && !ended) {
          setConnection("live");
        }
        return response;
      };
      const { unsubscribe } = pipe(
        client.executeSubscription<Data>(request, { fetch: opened }),
        onEnd(() => lost()),
        subscribe(({ data, error }) => {
          if (error) {
            lost(error);
          } else if (data && !ended) {
            tries = 0;
            cursor.current = { of: key, at: cursorOf(data) };
            latest.current.onEvent(data);
          }
        }),
      );
      stop = unsubscribe;
    };
    setConnection("connecting");
    connect();
    return () => {
      ended = true;
      clearTimeout(timer);
      stop();
    };
  }, [client, key]);
  return connection;
}
