// How the page follows what changes, over connections that a real server cuts: without a browser.
import assert from "node:assert/strict";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { Client, createRequest, fetchExchange } from "urql";
import { type Connection, follow } from "../src/live.ts";

interface Ticks {
  readonly ticks: string;
}

type Answer = (after: string | null, response: ServerResponse) => void;

/** Follows a server that gives these answers in turn, until `isDone`. What was asked and told, in order. */
async function followed(
  answers: readonly Answer[],
  isDone: (log: readonly string[]) => boolean,
  begin: string | null = null,
): Promise<string[]> {
  const log: string[] = [];
  let asked = 0;
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (part) => {
      text += part;
    });
    request.on("end", () => {
      const { after } = JSON.parse(text).variables;
      log.push(`asked after ${after}`);
      const answer = answers[asked] ?? silent;
      asked += 1;
      answer(after, response);
      note();
    });
  });
  let done = () => {};
  const note = () => isDone(log) && setTimeout(done, SETTLING);
  const over = new Promise<void>((resolve) => {
    done = resolve;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const client = new Client({ url, exchanges: [fetchExchange], fetchSubscriptions: true, preferGetMethod: false });
  const tell = (what: string) => {
    log.push(what);
    note();
  };
  const stop = follow<Ticks>(
    client,
    {
      request: (after) => createRequest("subscription ($after: String) { ticks(after: $after) }", { after }),
      cursor: { current: begin },
      cursorOf: ({ ticks }) => ticks,
      onEvent: ({ ticks }) => tell(ticks),
      onGap: () => tell("gap"),
      onConnection: (connection: Connection) => tell(connection),
    },
    [0],
  );
  await over;
  stop();
  server.closeAllConnections();
  server.close();
  return log;
}

const SETTLING = 50; // milliseconds in which a connection too many would be made: the pause before one is none here

function begin(response: ServerResponse, beginning: string): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write(`id: ${beginning}\n\n`);
}

function tick(response: ServerResponse, cursor: string, then = () => {}): void {
  response.write(`event: next\nid: ${cursor}\ndata: {"data":{"ticks":"${cursor}"}}\n\n`, then);
}

const silent: Answer = (after, response) => begin(response, after ?? "now");

function refused(code: string): Answer {
  return (_, response) => {
    response.writeHead(400, { "content-type": "application/json" });
    response.end(JSON.stringify({ errors: [{ message: "No.", extensions: { code } }] }));
  };
}

/** An answer that is cut; what was written before may still be on its way for a moment. */
function cut(write: (response: ServerResponse) => void): Answer {
  return (_, response) => {
    write(response);
    setTimeout(() => response.destroy(), SETTLING);
  };
}

const isLiveAgain = (log: readonly string[]) => log.filter((line) => line === "live").length === 2;

test("a connection that is cut is taken up once, behind its last event", async () => {
  const first = cut((response) => {
    begin(response, "a");
    tick(response, "b");
  });
  const log = await followed([first], isLiveAgain);
  assert.deepEqual(log, ["connecting", "asked after null", "live", "b", "lost", "asked after b", "live"]);
});

test("a connection that is cut before its first event is taken up where it began", async () => {
  const log = await followed([cut((response) => begin(response, "a"))], isLiveAgain);
  assert.deepEqual(log, ["connecting", "asked after null", "live", "lost", "asked after a", "live"]);
});

test("a stream that ends in order is taken up once", async () => {
  const ended: Answer = (_, response) => {
    begin(response, "a");
    response.end("event: complete\ndata:\n\n");
  };
  const log = await followed([ended], isLiveAgain);
  assert.deepEqual(log, ["connecting", "asked after null", "live", "lost", "asked after a", "live"]);
});

test("where nothing tells what was missed, it is read again, when all that comes is told", async () => {
  const busy = refused("UNAVAILABLE");
  const never = await followed([busy, busy], (log) => log.includes("gap"));
  const asked = ["asked after null", "lost", "asked after null", "lost", "asked after null", "live", "gap"];
  assert.deepEqual(never, ["connecting", ...asked]);
  const late = await followed([refused("CURSOR_TOO_OLD")], (log) => log.includes("gap"), "a");
  assert.deepEqual(late, ["connecting", "asked after a", "lost", "asked after null", "live", "gap"]);
});

test("what is refused for good is not asked again", async () => {
  const log = await followed([refused("UNAUTHORIZED")], (each) => each.includes("off"));
  assert.deepEqual(log, ["connecting", "asked after null", "off"]);
});
