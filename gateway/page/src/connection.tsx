import type { Connection } from "./live.ts";

const WORDS: Readonly<Record<Connection, string>> = {
  off: "",
  connecting: "Connecting …",
  live: "Live",
  lost: "The connection was lost. The page tries again.",
};

/** Whether what is shown moves by itself. */
export function ConnectionState({ connection }: { connection: Connection }) {
  return (
    <span role="status" className={`connection ${connection}`}>
      {WORDS[connection]}
    </span>
  );
}
