/** What the server put into the page. */
export interface Config {
  /** Where GraphQL is asked. */
  readonly endpoint: string;
  /** Where the explorer is; null where it is not served. */
  readonly explorer: string | null;
  /** In a demo, the key that everybody knows; else empty. */
  readonly apiKey: string;
  /** The scope that a viewer needs to have callbacks delivered again; null where the gateway cannot. */
  readonly redeliveryScope: string | null;
}

export function readConfig(): Config {
  return JSON.parse(document.getElementById("page-config")?.textContent ?? "{}") as Config;
}
