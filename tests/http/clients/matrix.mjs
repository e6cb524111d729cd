// Asks the gateway at argv's address through one client, in the ways that its users do, and prints what came as JSON.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";

const [client, address, key, batch] = process.argv.slice(2);
const require = createRequire(import.meta.url);

const QUERY = "query Deliveries($id: ID!) { batch(id: $id) { id callbackDeliveries { id attempts { id } } } }";
const variables = { id: batch };
const mistaken = { id: "nonsense" };
const headers = { authorization: `Bearer ${key}` };
const sha256 = async (text) => createHash("sha256").update(text).digest("hex");

// Every request that went out: its method, and whether it held the document.
const sent = [];
const watched = (url, options = {}) => {
  const method = options.method ?? "GET";
  const whole = `${url}${options.body ?? ""}`;
  sent.push(`${method} ${whole.includes("Deliveries(") || whole.includes("Deliveries%28") ? "document" : "hash"}`);
  return fetch(url, options);
};

async function apollo(library, { createPersistedQueryLink }, codes) {
  const { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } = library;
  const ask = async (link, values, options = {}) => {
    const apolloClient = new ApolloClient({ link, cache: new InMemoryCache() });
    return apolloClient.query({ query: gql(QUERY), variables: values, fetchPolicy: "no-cache", ...options });
  };
  const http = (options) => new HttpLink({ uri: address, headers, fetch: watched, ...options });
  const persisted = (options) =>
    ApolloLink.from([createPersistedQueryLink({ sha256, ...options }), http()]);
  const failure = await ask(http(), mistaken, { errorPolicy: "all" });
  return {
    query: (await ask(http(), variables)).data,
    get: (await ask(http({ useGETForQueries: true }), variables)).data,
    persisted: (await ask(persisted(), variables)).data,
    persistedAgain: (await ask(persisted({ useGETForHashedQueries: true }), variables)).data,
    codes: codes(failure),
  };
}

const CLIENTS = {
  "apollo-3": () =>
    apollo(
      require("apollo-client-3/core"),
      require("apollo-client-3/link/persisted-queries"),
      ({ errors }) => errors.map((error) => error.extensions.code),
    ),
  "apollo-4": async () =>
    apollo(
      await import("@apollo/client"),
      await import("@apollo/client/link/persisted-queries").then(({ PersistedQueryLink }) => ({
        createPersistedQueryLink: (options) => new PersistedQueryLink(options),
      })),
      ({ error }) => error.errors.map((each) => each.extensions.code),
    ),
  urql: async () => {
    const { Client, fetchExchange } = await import("@urql/core");
    const options = { url: address, exchanges: [fetchExchange], fetch: watched, fetchOptions: { headers } };
    const usual = new Client(options);
    const posting = new Client({ ...options, preferGetMethod: false });
    const failure = await usual.query(QUERY, mistaken).toPromise();
    return {
      query: (await posting.query(QUERY, variables).toPromise()).data,
      get: (await usual.query(QUERY, variables).toPromise()).data,
      codes: failure.error.graphQLErrors.map((error) => error.extensions.code),
    };
  },
  relay: async () => {
    const { Environment, Network, RecordSource, Store, fetchQuery } = require("relay-runtime");
    const id = { alias: null, args: null, kind: "ScalarField", name: "id", storageKey: null };
    const linked = (concreteType, name, plural, selections, args = null) => ({
      alias: null, args, concreteType, kind: "LinkedField", name, plural, selections, storageKey: null,
    });
    const selections = [
      linked(
        "Batch",
        "batch",
        false,
        [
          id,
          linked("BatchCallbackDelivery", "callbackDeliveries", true, [
            id,
            linked("BatchCallbackDeliveryAttempt", "attempts", true, [id]),
          ]),
        ],
        [{ kind: "Variable", name: "id", variableName: "id" }],
      ),
    ];
    const argumentDefinitions = [{ defaultValue: null, kind: "LocalArgument", name: "id" }];
    const question = (params) => ({
      fragment: { argumentDefinitions, kind: "Fragment", metadata: null, name: "Deliveries", selections, type: "Query", abstractKey: null },
      kind: "Request",
      operation: { argumentDefinitions, kind: "Operation", name: "Deliveries", selections },
      params: { cacheID: "1", metadata: {}, name: "Deliveries", operationKind: "query", id: null, text: null, ...params },
    });
    let answers = [];
    const network = Network.create(async ({ id: hash, text: query }, values) => {
      const body = JSON.stringify(query ? { query, variables: values } : { doc_id: hash, variables: values });
      const accept = "application/graphql-response+json";
      const options = { method: "POST", headers: { ...headers, accept, "content-type": "application/json" }, body };
      const answer = await (await watched(address, options)).json();
      answers.push(answer);
      return answer;
    });
    const ask = (params, values) => {
      const environment = new Environment({ network, store: new Store(new RecordSource()) });
      return fetchQuery(environment, question(params), values).toPromise();
    };
    const query = await ask({ text: QUERY }, variables);
    await ask({ text: QUERY }, mistaken).catch(() => {});
    const codes = answers.at(-1).errors.map((error) => error.extensions.code);
    return { query, trusted: await ask({ id: "deliveries-1" }, variables), codes };
  },
};

console.log(JSON.stringify({ ...(await CLIENTS[client]()), sent }));
