import { useEffect, useState } from "react";

/** Copies a text, and says so. */
export function Copy({ text, label }: { text: string; label: string }) {
  const [done, setDone] = useState("");
  useEffect(() => {
    const timer = done ? setTimeout(() => setDone(""), 2500) : undefined;
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setDone("Copied");
    } catch {
      setDone("The browser does not allow it"); // No clipboard without HTTPS or the user's permission.
    }
  };
  return (
    <button type="button" onClick={copy} aria-live="polite">
      {done || label}
    </button>
  );
}
