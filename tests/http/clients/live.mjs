// Watches the gateway at argv's address through many clients at once, each as its users do: behind a cursor, until the
// stream completes. Prints a line of JSON for each event, and for each end.
import { createRequire } from "node:module";
import { createClient as createSse } from "graphql-sse";
import { createClient as createWs } from "graphql-ws";
import WebSocket from "ws";

const [address, key, after] = process.argv.slice(2);
const require = createRequire(import.meta.url);

const query = `subscription Watch($after: String) {
  callbackDeliveries(after: $after) { cursor change node { id } }
}`;
const QUERY = "query Scopes { viewer { scopes } }";
const variables = { after };
const headers = { authorization: `Bearer ${key}` };
const socket = () =>
  createWs({ url: address.replace("http", "ws"), webSocketImpl: WebSocket, connectionParams: headers, retryAttempts: 0 });

const say = (client, told) => console.log(JSON.stringify({ client, ...told }));
const sink = (client, done) => ({
  next: ({ data, errors }) => say(client, { id: data?.callbackDeliveries?.node.id ?? null, errors }),
  error: (error) => {
    say(client, { error: String(error.message ?? JSON.stringify(error)) });
    done();
  },
  complete: () => {
    say(client, { complete: true });
    done();
  },
});

async function apollo(client, link, done) {
  const { ApolloClient, InMemoryCache, gql } = await import("@apollo/client");
  const apolloClient = new ApolloClient({ link, cache: new InMemoryCache() });
  const { data } = await apolloClient.query({ query: gql(QUERY) });
  say(client, { scopes: data.viewer.scopes });
  apolloClient.subscribe({ query: gql(query), variables }).subscribe(sink(client, done));
}

const CLIENTS = {
  "graphql-sse": async (done) => createSse({ url: address, headers, retryAttempts: 0 }).subscribe({ query, variables }, sink("graphql-sse", done)),
  "graphql-ws": async (done) => socket().subscribe({ query, variables }, sink("graphql-ws", done)),
  "apollo-multipart": async (done) => {
    const { HttpLink } = await import("@apollo/client");
    await apollo("apollo-multipart", new HttpLink({ uri: address, headers }), done);
  },
  "apollo-graphql-ws": async (done) => {
    const { GraphQLWsLink } = await import("@apollo/client/link/subscriptions");
    await apollo("apollo-graphql-ws", new GraphQLWsLink(socket()), done);
  },
  urql: async (done) => {
    const { Client, fetchExchange } = await import("@urql/core");
    const client = new Client({
      url: address, exchanges: [fetchExchange], fetchOptions: { headers }, fetchSubscriptions: true, preferGetMethod: false,
    });
    const { data } = await client.query(QUERY, {}).toPromise();
    say("urql", { scopes: data.viewer.scopes });
    const { next, complete, error } = sink("urql", done);
    const { filter, onEnd, pipe, subscribe } = await import("wonka");
    pipe(
      client.subscription(query, variables),
      onEnd(complete),
      // At the end its last result comes once more, with nothing new.
      filter(({ hasNext }) => hasNext !== false),
      subscribe((result) => (result.error ? error(result.error) : next(result))),
    );
  },
  relay: async (done) => {
    const { Environment, Network, Observable, RecordSource, Store, requestSubscription } = require("relay-runtime");
    const scalar = (name) => ({ alias: null, args: null, kind: "ScalarField", name, storageKey: null });
    const linked = (concreteType, name, selections, args = null) => ({
      alias: null, args, concreteType, kind: "LinkedField", name, plural: false, selections, storageKey: null,
    });
    const node = linked("BatchCallbackDelivery", "node", [scalar("id")]);
    const given = [{ kind: "Variable", name: "after", variableName: "after" }];
    const fields = [scalar("cursor"), scalar("change"), node];
    const selections = [linked("CallbackDeliveryChange", "callbackDeliveries", fields, given)];
    const argumentDefinitions = [{ defaultValue: null, kind: "LocalArgument", name: "after" }];
    const subscription = {
      fragment: { argumentDefinitions, kind: "Fragment", metadata: null, name: "Watch", selections, type: "Subscription", abstractKey: null },
      kind: "Request",
      operation: { argumentDefinitions, kind: "Operation", name: "Watch", selections },
      params: { cacheID: "1", metadata: {}, name: "Watch", operationKind: "subscription", id: null, text: query },
    };
    const client = socket();
    const network = Network.create(
      () => {
        throw new Error("nothing is fetched");
      },
      (params, values) =>
        Observable.create((told) => client.subscribe({ query: params.text, variables: values }, told)),
    );
    const environment = new Environment({ network, store: new Store(new RecordSource()) });
    const { next, error, complete } = sink("relay", done);
    requestSubscription(environment, {
      subscription, variables, onNext: (data) => next({ data }), onError: error, onCompleted: complete,
    });
  },
};

const watched = Object.entries(CLIENTS).map(
  ([name, watch]) =>
    new Promise((done) => {
      watch(done).catch((error) => {
        say(name, { error: String(error.stack ?? error) });
        done();
      });
    }),
);
await Promise.all(watched);
process.exit(0);
