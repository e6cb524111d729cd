import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { readConfig } from "./config.ts";
import "./page.css";

const place = document.getElementById("page");
if (place) {
  createRoot(place).render(<App config={readConfig()} />);
}
