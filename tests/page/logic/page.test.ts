// The page's logic without a browser: addresses, filters, searches, words, bodies, and where attempts lie in time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY, isFiltered, readAddress, splitMetadata, type View, writeAddress } from "../src/address.ts";
import { failureOf } from "../src/failure.ts";
import { bucketOf, filterOf, spanOf, variablesOf } from "../src/filter.ts";
import { kindOf, searched } from "../src/search.ts";
import { organizationsOf } from "../src/session.ts";
import { splitUrl, stateOf, words } from "../src/state.ts";
import { bodyKind, hexRows, indented, pieces } from "../src/text.ts";
import { ago, atSecond, bytes, lasting, percent } from "../src/time.ts";
import { stepsOf } from "../src/waterfall.tsx";

const NOW = Date.parse("2026-05-09T10:00:30Z");
const ID = "a4d62fd4-53c2-4c34-8e61-ed66a782edcf";
Object.assign(globalThis, { location: { pathname: "/" } });

const FULL: View = {
  range: "custom",
  from: "2026-05-01T00:00:00Z",
  to: "2026-05-02T00:00:00Z",
  status: ["delivered", "failed"],
  reason: ["timeout"],
  host: ["a.example", "b.example:8443"],
  event: ["batch.failed"],
  http: "5xx",
  automatic: "false",
  state: "overdue",
  batch: ID,
  url: "https://a.example/in?x=1&y=2",
  error: "é & 100 %",
  metadata: "customer.tier=gold",
  zone: "Asia/Kathmandu",
  delivery: ID,
};

test("an address gives back the view that it was written from", () => {
  assert.deepEqual(readAddress(writeAddress(FULL)), FULL);
  assert.equal(writeAddress(EMPTY), "/");
  for (const range of ["24h", "30d", "90d", "all"]) {
    assert.deepEqual(readAddress(writeAddress({ ...EMPTY, range })), { ...EMPTY, range });
  }
});

test("what an address says wrongly is left out", () => {
  const wrong =
    "?range=1y&from=yesterday&to=now&http=600&automatic=maybe&state=x&batch=7&zone=Mars/Base&delivery=1&metadata=x";
  assert.deepEqual(readAddress(wrong), EMPTY);
  assert.equal(readAddress("?from=2026-05-01T00:00:00Z").range, "7d");
});

test("every filter of a view is one of its address, and of the filter that is sent", () => {
  for (const name of Object.keys(EMPTY) as (keyof View)[]) {
    if (!["range", "from", "to", "zone", "delivery", "metadata"].includes(name)) {
      const one = { ...EMPTY, range: "all", [name]: FULL[name] };
      assert.ok(isFiltered(one), name);
      assert.notDeepEqual(filterOf(one, NOW), {}, name);
    }
  }
  assert.deepEqual(filterOf({ ...EMPTY, range: "all" }, NOW), {});
});

test("a filter says what the view says", () => {
  assert.deepEqual(filterOf(FULL, NOW, [ID]), {
    createdAt: { gte: FULL.from, lt: FULL.to },
    statusCode: { in: ["delivered", "failed"] },
    failureReasonCode: { in: ["timeout"] },
    callbackHost: { in: ["a.example", "b.example:8443"] },
    event: { in: ["batch.failed"] },
    isAutomatic: false,
    overdue: true,
    batchId: { eq: ID, in: [ID] },
    callbackUrl: { startsWith: FULL.url },
    attempts: { some: { statusCode: { gte: 500, lt: 600 }, errorMessage: { contains: FULL.error } } },
  });
  assert.deepEqual(filterOf({ ...EMPTY, range: "all", http: "none" }, NOW), {
    attempts: { some: { statusCode: { isNull: true } } },
  });
  assert.deepEqual(filterOf({ ...EMPTY, range: "all", http: "404" }, NOW), {
    attempts: { some: { statusCode: { eq: 404 } } },
  });
});

test("a time reaches back from the full minute, and is cut into hours or days", () => {
  assert.deepEqual(spanOf({ ...EMPTY, range: "24h" }, NOW), { gte: "2026-05-08T10:00:00.000Z" });
  assert.equal(bucketOf({ ...EMPTY, range: "7d" }, NOW), "HOUR");
  assert.equal(bucketOf({ ...EMPTY, range: "30d" }, NOW), "DAY");
  assert.equal(bucketOf({ ...EMPTY, range: "all" }, NOW), "DAY");
  assert.equal(bucketOf(FULL, NOW), "HOUR");
});

test("a facet that is filtered by is counted without its own filter, and no other is asked twice", () => {
  const plain = variablesOf(EMPTY, NOW, "UTC");
  assert.deepEqual([plain.hasStatus, plain.hasReason, plain.hasHost, plain.hasHttp], [false, false, false, false]);
  const chosen = variablesOf({ ...EMPTY, status: ["failed"], http: "5xx" }, NOW, "UTC");
  assert.deepEqual([chosen.hasStatus, chosen.hasReason, chosen.hasHost, chosen.hasHttp], [true, false, false, true]);
  assert.equal(chosen.anyStatus?.statusCode, undefined);
  assert.ok(chosen.anyStatus?.attempts);
  assert.equal(chosen.anyHttp?.attempts, undefined);
  assert.deepEqual(chosen.anyHttp?.statusCode, { in: ["failed"] });
});

test("a search takes a text for what it most likely is", () => {
  const kinds: Record<string, string> = {
    [ID]: "id",
    [` ${ID.toUpperCase()} `]: "id",
    "https://a.example/in": "url",
    "a.example": "host",
    "a.example:8443": "host",
    "10.0.0.1": "error",
    "customer.tier=gold": "metadata",
    "run = 7": "metadata",
    "connection refused": "error",
    "x=": "error",
  };
  for (const [text, kind] of Object.entries(kinds)) {
    assert.equal(kindOf(text), kind, text);
  }
  assert.deepEqual(searched(EMPTY, "host", " A.example "), { ...EMPTY, host: ["a.example"] });
  assert.equal(searched(EMPTY, "metadata", "no pair"), null);
  assert.equal(searched(EMPTY, "id", ID), null);
});

test("a value of the metadata is text, a number or a boolean", () => {
  assert.deepEqual(splitMetadata("a.b=c=d"), { path: ["a", "b"], eq: "c=d" });
  assert.deepEqual(splitMetadata("run=793"), { path: ["run"], eq: 793 });
  assert.deepEqual(splitMetadata('run="793"'), { path: ["run"], eq: "793" });
  assert.deepEqual(splitMetadata("dry=true"), { path: ["dry"], eq: true });
  assert.equal(splitMetadata("a..b=c"), null);
});

test("lengths of time stand in their two largest units", () => {
  const told = [0, 480, 2_345, 59_000, 133_000, 120_000, 11_100_000, 90_000_000].map(lasting);
  assert.deepEqual(told, ["0 ms", "480 ms", "2.3 s", "59 s", "2 min 13 s", "2 min", "3 h 5 min", "1 d 1 h"]);
  assert.equal(ago("2026-05-09T09:00:00Z", NOW), "1 h ago");
  assert.equal(ago("2026-05-09T11:00:00Z", NOW), "just now");
  assert.equal(atSecond("2026-05-09T10:00:00Z", "Asia/Kathmandu"), "9 May 2026, 15:45:00");
});

test("a share is never rounded up to all", () => {
  assert.deepEqual([percent(null), percent(0.99999), percent(1), percent(0.838)], ["–", "99.9 %", "100.0 %", "83.8 %"]);
  assert.deepEqual([bytes(512), bytes(2048), bytes(5_000_000)], ["512 B", "2.0 KiB", "4.8 MiB"]);
});

test("a state is a word, whatever the platform adds", () => {
  assert.equal(stateOf({ statusCode: "retrying", inFlight: true, overdue: true }).word, "Overdue");
  assert.equal(stateOf({ statusCode: "delivered", inFlight: false, overdue: false }).tone, "good");
  assert.deepEqual(stateOf({ statusCode: "parked_by_hand", inFlight: false, overdue: false }), {
    word: "Parked by hand",
    tone: "plain",
  });
  assert.deepEqual(["http_5xx", "dns_error", "batch.failed"].map(words), ["HTTP 5xx", "DNS error", "Failed"]);
  assert.deepEqual(splitUrl("https://u:p@a.example:8443/in?x"), { host: "a.example:8443", path: "/in?x" });
  assert.deepEqual(splitUrl(null), { host: "no URL", path: "" });
});

test("a body is taken for what it is, and none of its text is lost", () => {
  const bodies: Record<string, string> = {
    '{"a": [1, -2.5e3, "x\\"y", true, null]}': "json",
    '[{"cut": "in the mid': "json",
    "<!doctype html><p class=x>1 < 2</p>": "html",
    "<Error><Code>A</Code></Error>": "html",
    "plain text": "text",
    "\u0000\u0001PNG": "binary",
    "  ": "empty",
  };
  for (const [text, kind] of Object.entries(bodies)) {
    assert.equal(bodyKind(text), kind, text);
    assert.equal(
      pieces(text, bodyKind(text))
        .map((piece) => piece.text)
        .join(""),
      text,
    );
  }
  const kinds = new Set(pieces('{"a": [1, "b", true]}', "json").map(({ kind }) => kind));
  assert.deepEqual([...kinds].sort(), ["key", "number", "plain", "string", "word"]);
  assert.equal(indented('{"a":1}'), '{\n  "a": 1\n}');
  assert.equal(indented('{"a":12345678901234567890}'), '{"a":12345678901234567890}');
  assert.deepEqual(hexRows("A\u0000é"), [`00000000  41 00 c3 a9${" ".repeat(36)}  |A...|`]);
});

test("attempts lie in time, with what was waited between them", () => {
  const attempt = (number: number, at: string, took: number | null) =>
    ({ id: String(number), attemptNumber: number, createdAt: at, responseTimeMs: took }) as never;
  const { steps, next } = stepsOf({
    createdAt: "2026-05-09T10:00:00Z",
    nextAttemptAt: "2026-05-09T10:01:40Z",
    attempts: [attempt(1, "2026-05-09T10:00:00Z", 10_000), attempt(2, "2026-05-09T10:00:50Z", null)],
  });
  assert.deepEqual(
    steps.map(({ left, width, waited }) => [left, width, waited]),
    [
      [0, 10, 0],
      [50, 0.8, 40_000],
    ],
  );
  assert.equal(next, 99);
});

test("a token names its organizations; no other credential does", () => {
  const claims = btoa(JSON.stringify({ organizations: [{ id: "a", role: "x" }, { id: "b" }, { id: 3 }] }));
  assert.deepEqual(organizationsOf(`h.${claims}.s`), ["a", "b"]);
  assert.deepEqual(organizationsOf("demo"), []);
});

test("each failure says what to do next", () => {
  const failed = (code: string, status = 200, headers = {}) =>
    failureOf(
      {
        graphQLErrors: [{ message: "m", extensions: { code } }],
        response: new Response("", { status, headers }),
      } as never,
      true,
    );
  const remedies = [
    "UNAUTHORIZED",
    "PERMISSION_DENIED",
    "ROLE_UNRESOLVED",
    "DEADLINE_EXCEEDED",
    "RATE_LIMITED",
    "UNAVAILABLE",
    "BAD_CURSOR",
    "X",
  ];
  assert.deepEqual(
    remedies.map((code) => failed(code).remedy),
    ["key", "key", "organization", "narrow", "retry", "retry", "newest", "retry"],
  );
  assert.equal(failed("RATE_LIMITED", 429, { "Retry-After": "7" }).retryAfter, 7);
  assert.equal(
    failureOf({ graphQLErrors: [], networkError: new Error("x") } as never, true).title,
    "The gateway cannot be reached",
  );
});
