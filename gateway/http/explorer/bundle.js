// Bundles the explorer page and Monaco's three workers into dist/, and writes dist/manifest.json, which the Python side
// reads to find the hashed names. Run by build.py in a folder where `npm ci` has run.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";

const OUT = "dist";
const WORKERS = {
  editor: "monaco-editor/esm/vs/editor/editor.worker.js",
  json: "monaco-editor/esm/vs/language/json/json.worker.js",
  graphql: "monaco-graphql/esm/graphql.worker.js",
};

// GraphiQL's style sheet carries its fonts as data: URLs and already holds all of Monaco's styles. Fonts become files,
// so that a browser fetches the few it needs and the page's policy needs no `data:` for fonts.
const styles = {
  name: "styles",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^data:font\// }, ({ path }) => {
      const [, extension, encoded] = /^data:font\/(\w+)[^,]*;base64,(.*)$/s.exec(path);
      const contents = Buffer.from(encoded, "base64");
      const digest = createHash("sha256").update(contents).digest("hex");
      return { path: `${digest}/font.${extension}`, namespace: "font", pluginData: contents };
    });
    onLoad({ filter: /.*/, namespace: "font" }, ({ pluginData }) => ({ contents: pluginData, loader: "file" }));
    onLoad({ filter: /[\\/]monaco-editor[\\/].*\.css$/ }, () => ({ contents: "", loader: "js" }));
  },
};

function packageOf(input) {
  const match = /^(?:font:|.*?)(node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)/.exec(input);
  return match?.[1];
}

function notices(inputs) {
  const folders = new Set(Object.keys(inputs).map(packageOf).filter(Boolean));
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|thirdparty)/i.test(file));
    const body = files.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
    return `${name} ${version} (${license ?? "see below"})\n\n${body || "No license file in the package."}\n`;
  });
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}

rmSync(OUT, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: {
    explorer: "explorer.jsx",
    ...Object.fromEntries(Object.entries(WORKERS).map(([label, path]) => [`${label}.worker`, path])),
  },
  bundle: true,
  splitting: true,
  format: "esm",
  minify: true,
  target: ["es2022"],
  jsx: "automatic",
  outdir: OUT,
  entryNames: "[name]-[hash]",
  chunkNames: "chunk-[hash]",
  assetNames: "[name]-[hash]",
  define: { "process.env.NODE_ENV": '"production"' },
  legalComments: "none",
  metafile: true,
  plugins: [styles],
  logLevel: "warning",
});

const manifest = { workers: {} };
for (const [path, output] of Object.entries(metafile.outputs)) {
  const name = basename(path);
  const worker = Object.keys(WORKERS).find((label) => name.startsWith(`${label}.worker-`));
  if (output.entryPoint === "explorer.jsx") {
    manifest.script = name;
    manifest.style = basename(output.cssBundle);
    manifest.preload = output.imports.filter(({ kind }) => kind === "import-statement").map((i) => basename(i.path));
  } else if (worker && output.entryPoint) {
    manifest.workers[worker] = name;
  }
}
if (!manifest.script || !manifest.style || Object.keys(manifest.workers).length !== Object.keys(WORKERS).length) {
  throw new Error("the bundle lacks the page, its style sheet or a worker");
}
writeFileSync(join(OUT, "licenses.txt"), notices(metafile.inputs));
writeFileSync(join(OUT, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
