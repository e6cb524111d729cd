import { useCallback, useState } from "react";

const PREFIX = "gateway-explorer:";

function storageOf(name) {
  try {
    return globalThis[name];
  } catch {
    return null; // The browser forbids storage to this page.
  }
}

function ownNames(storage) {
  return Object.keys(storage).filter((name) => name.startsWith(PREFIX));
}

/** GraphiQL's history would keep the headers editor's text, and with it whatever credential was typed there. */
function withoutHeaders(name, value) {
  return /:(queries|favorites)$/.test(name)
    ? JSON.stringify(JSON.parse(value), (key, part) => (key === "headers" ? undefined : part))
    : value;
}

/** Where GraphiQL keeps tabs, history and settings, apart from other GraphiQL pages of the same origin. */
export function createStorage() {
  const storage = storageOf("localStorage");
  return (
    storage && {
      getItem: (name) => storage.getItem(PREFIX + name),
      setItem: (name, value) => storage.setItem(PREFIX + name, withoutHeaders(name, value)),
      removeItem: (name) => storage.removeItem(PREFIX + name),
      clear: () => ownNames(storage).forEach((name) => storage.removeItem(name)),
      get length() {
        return ownNames(storage).length;
      },
    }
  );
}

/** A value that survives a reload of this browser tab and nothing else. The server's own default is never stored. */
export function useSession(name, initial) {
  const storage = storageOf("sessionStorage");
  const [value, setValue] = useState(() => storage?.getItem(PREFIX + name) ?? initial);
  const save = useCallback(
    (next) => {
      setValue(next);
      if (next === initial) {
        storage?.removeItem(PREFIX + name);
      } else {
        storage?.setItem(PREFIX + name, next);
      }
    },
    [storage, name, initial],
  );
  return [value, save];
}
