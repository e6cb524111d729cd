import { createGraphiQLFetcher } from "@graphiql/toolkit";

const JSON_TYPE = /[/+]json\b|^multipart\/mixed\b/i;

/**
 * GraphiQL's fetcher, with the bar's key and organization on every request, and in the first message of a WebSocket for
 * a subscription. A header typed into the headers editor wins over the bar. `onAnswer` gets the status of each answer, or
 * null where there was none.
 */
export function createFetcher({ url, apiKey, organization, onAnswer }) {
  async function send(address, init) {
    const headers = new Headers(init.headers);
    if (apiKey && !headers.has("Authorization")) {
      headers.set("Authorization", `Bearer ${apiKey}`);
    }
    if (organization && !headers.has("X-Organization-Id")) {
      headers.set("X-Organization-Id", organization);
    }
    let response;
    try {
      response = await fetch(address, { ...init, headers });
    } catch (error) {
      onAnswer(null);
      throw error;
    }
    onAnswer(response.status);
    return JSON_TYPE.test(response.headers.get("Content-Type") ?? "") ? response : unreadable(response);
  }
  const subscriptionUrl = new URL(url, location.href);
  subscriptionUrl.protocol = subscriptionUrl.protocol.replace("http", "ws");
  const wsConnectionParams = {
    ...(apiKey && { Authorization: `Bearer ${apiKey}` }),
    ...(organization && { "X-Organization-Id": organization }),
  };
  return createGraphiQLFetcher({ url, fetch: send, subscriptionUrl: subscriptionUrl.href, wsConnectionParams });
}

/** A proxy's HTML page would end in a JSON parser's complaint; the status says more. */
function unreadable({ status, statusText }) {
  const message = `The gateway answered ${status} ${statusText}`.trim();
  return Response.json({ errors: [{ message: `${message}, and not with JSON.` }] }, { status });
}

export function complaint(status, apiKey) {
  switch (status) {
    case null:
      return "The gateway cannot be reached.";
    case 401:
      return apiKey
        ? "The gateway does not accept this API key."
        : "The gateway asks for an API key. Enter yours above: it is kept in this browser tab only.";
    case 403:
      return "This API key may not do that, or not for this organization.";
    case 429:
      return "Too many requests with this API key. Wait a moment.";
    default:
      return "";
  }
}
