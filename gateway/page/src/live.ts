import { useEffect, useRef, useState } from "react";
import { type Client, type CombinedError, createRequest, type GraphQLRequest, useClient } from "urql";
import { onEnd, pipe, subscribe } from "wonka";
import type { Sent } from "./documents.ts";

const PAUSES = [1, 2, 4, 8, 15, 30]; // seconds until a lost connection is tried again, the last one again and again
const TOO_OLD = "CURSOR_TOO_OLD";
const HOPELESS = /^(GRAPHQL_|PERSISTED_|DOCUMENT_|BAD_|UNAUTHORIZED|PERMISSION_|NOT_ACCEPTABLE|METHOD_)/;
const BEGINNING = /^id: ?(.+)$/m;
const END_OF_EVENT = "\n\n";

export type Connection = "off" | "connecting" | "live" | "lost";

interface Told<Data> {
  readonly cursorOf: (data: Data) => string;
  readonly onEvent: (data: Data) => void;
  /** It is not known what has changed: what is shown has to be read again. From then on, changes are told. */
  readonly onGap: () => void;
}

interface Followed<Data> extends Told<Data> {
  /** What is asked behind a cursor, or from now on. */
  readonly request: (after: string | null) => GraphQLRequest<Data>;
  /** Behind which event to go on; it is moved with each one. */
  readonly cursor: { current: string | null };
  readonly onConnection: (connection: Connection) => void;
}

/** Tells what changes, over one connection after the other, until what it returns is called. */
export function follow<Data>(client: Client, followed: Followed<Data>, pauses: readonly number[] = PAUSES): () => void {
  const { request, cursor, cursorOf, onEvent, onGap, onConnection } = followed;
  let tries = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let close = () => {};
  const connect = () => {
    const after = cursor.current;
    const hasGap = tries > 0 && after === null;
    let isOpen = true;
    let unsubscribe = () => {};
    close = () => {
      isOpen = false; // first: whoever unsubscribes is told of an end, which is not a loss
      unsubscribe();
    };
    const lost = (error?: CombinedError) => {
      if (!isOpen) {
        return;
      }
      close();
      const code = String(error?.graphQLErrors[0]?.extensions?.code ?? "");
      if (HOPELESS.test(code)) {
        onConnection("off");
        return;
      }
      if (code === TOO_OLD) {
        cursor.current = null;
      }
      onConnection("lost");
      timer = setTimeout(connect, 1000 * (pauses[Math.min(tries, pauses.length - 1)] ?? 30));
      tries += 1;
    };
    const opened: typeof fetch = async (...asked) => {
      const response = await fetch(...asked);
      if (!response.ok || !isOpen) {
        return response;
      }
      onConnection("live");
      if (hasGap) {
        onGap(); // not before: what changes from now on is told
      }
      return withBeginning(response, (id) => {
        cursor.current ??= id;
      });
    };
    ({ unsubscribe } = pipe(
      client.executeSubscription<Data>(request(after), { fetch: opened }),
      onEnd(() => lost()),
      subscribe(({ data, error }) => {
        if (error) {
          lost(error);
        } else if (data && isOpen) {
          tries = 0;
          cursor.current = cursorOf(data);
          onEvent(data);
        }
      }),
    ));
  };
  onConnection("connecting");
  connect();
  return () => {
    clearTimeout(timer);
    close();
  };
}

/** The response, of whose event stream the id is told that stands before the first event: urql reads no ids. */
function withBeginning(response: Response, tell: (id: string) => void): Response {
  const decoder = new TextDecoder();
  let begun = "";
  let isRead = false;
  const noted = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, stream) {
      if (!isRead) {
        begun += decoder.decode(chunk, { stream: true });
        isRead = begun.includes(END_OF_EVENT);
        const id = isRead && BEGINNING.exec(begun.slice(0, begun.indexOf(END_OF_EVENT)))?.[1];
        if (id) {
          tell(id);
        }
      }
      stream.enqueue(chunk);
    },
  });
  return new Response(response.body?.pipeThrough(noted), response);
}

interface Watched<Data, Variables> extends Told<Data> {
  readonly document: Sent<Data, Variables>;
  /** Without `after`: a connection that is taken up again goes on behind the last event. Null watches nothing. */
  readonly variables: Omit<Variables, "after"> | null;
}

/** Watches what changes, for as long as the variables stay the same, whatever happens to the connection. */
export function useLive<Data, Variables>(watched: Watched<Data, Variables>): Connection {
  const client = useClient();
  const [connection, setConnection] = useState<Connection>("off");
  const latest = useRef(watched);
  latest.current = watched;
  const cursor = useRef<string | null>(null); // good for any filter of the same field
  const key = watched.variables && JSON.stringify(watched.variables);
  useEffect(() => {
    if (key === null) {
      setConnection("off");
      return;
    }
    return follow<Data>(client, {
      request: (after) => createRequest(latest.current.document, { ...JSON.parse(key), after }),
      cursor,
      cursorOf: (data) => latest.current.cursorOf(data),
      onEvent: (data) => latest.current.onEvent(data),
      onGap: () => latest.current.onGap(),
      onConnection: setConnection,
    });
  }, [client, key]);
  return connection;
}
