// A shared question lives in the address's fragment, which browsers never send to a server. It holds the query, its
// variables and the operation's name, and nothing of the headers.

export function writeLink({ query, variables, operationName }) {
  const fragment = new URLSearchParams({ query });
  if (variables?.trim()) {
    fragment.set("variables", variables);
  }
  if (operationName) {
    fragment.set("operationName", operationName);
  }
  return `${location.pathname}${location.search}#${fragment}`;
}

export function readLink() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const query = fragment.get("query");
  return query
    ? { query, variables: fragment.get("variables") ?? "", operationName: fragment.get("operationName") }
    : null;
}

/** Whether the address names this very question, by its query and variables. */
export function isLinked(link, { query, variables }) {
  return link.query === (query ?? "") && link.variables.trim() === (variables ?? "").trim();
}
