import { useState } from "react";
import { useClient } from "urql";
import { EXPORT, type Filter } from "./documents.ts";
import { failureOf } from "./failure.ts";

/** Saves all that the filter keeps as a file: the gateway gives a link that is good for a short while. */
export function Export({ filter }: { filter: Filter }) {
  const client = useClient();
  const [said, setSaid] = useState("");
  const save = async (format: "CSV" | "NDJSON") => {
    setSaid("Asking for the file …");
    const { data, error } = await client.query(EXPORT, { filter, format }).toPromise();
    if (!data) {
      setSaid(error ? failureOf(error, true).title : "It could not be had.");
      return;
    }
    const link = document.createElement("a");
    link.href = data.callbackDeliveries.exportLink.url;
    link.download = "";
    link.click();
    setSaid("The download has begun.");
  };
  return (
    <>
      <button type="button" onClick={() => save("CSV")}>
        Export CSV
      </button>
      <button type="button" onClick={() => save("NDJSON")}>
        Export NDJSON
      </button>
      <span role="status" className="quiet">
        {said}
      </span>
    </>
  );
}
