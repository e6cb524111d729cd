import { useCallback, useState } from "react";

// The explorer's own names: who has entered a key in one of the two need not enter it in the other, in the same tab.
const PREFIX = "gateway-explorer:";

function storage(): Storage | null {
  try {
    return globalThis.sessionStorage;
  } catch {
    return null; // The browser forbids storage to this page.
  }
}

/** A value that survives a reload of this browser tab and nothing else. The server's own default is never stored. */
export function useSession(name: string, initial: string): [string, (next: string) => void] {
  const [value, setValue] = useState(() => storage()?.getItem(PREFIX + name) ?? initial);
  const save = useCallback(
    (next: string) => {
      setValue(next);
      if (next === initial) {
        storage()?.removeItem(PREFIX + name);
      } else {
        storage()?.setItem(PREFIX + name, next);
      }
    },
    [name, initial],
  );
  return [value, save];
}

/** The organizations that a JWT names, to choose from; none for any other credential. Nothing is verified here. */
export function organizationsOf(credential: string): string[] {
  try {
    const claims = credential.split(".")[1]?.replaceAll("-", "+").replaceAll("_", "/");
    const { organizations } = JSON.parse(atob(claims ?? "")) as { organizations?: { id?: unknown }[] };
    return (organizations ?? []).map(({ id }) => id).filter((id): id is string => typeof id === "string");
  } catch {
    return [];
  }
}
