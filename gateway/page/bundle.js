// Bundles the page into dist/, and writes dist/manifest.json, which the Python side reads to find the hashed names.
// `build.py` of the explorer runs it in a folder where `npm ci` has run.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { build } from "esbuild";

const OUT = "dist";

// A document becomes what urql sends by its hash, without parsing it: the gateway knows the text.
const documents = {
  name: "documents",
  setup({ onLoad }) {
    onLoad({ filter: /\.graphql$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const documentId = createHash("sha256").update(text).digest("hex");
      return { contents: JSON.stringify({ kind: "Document", definitions: [], documentId, text }), loader: "json" };
    });
  },
};

function notices(inputs) {
  const folders = Object.keys(inputs).map((input) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0]);
  const texts = [...new Set(folders)].filter(Boolean).map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file));
    const body = files.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
    return `${name} ${version} (${license ?? "see below"})\n\n${body || "No license file in the package."}\n`;
  });
  return texts.sort().join(`\n${"-".repeat(80)}\n\n`);
}

rmSync(OUT, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: { page: "src/main.tsx" },
  bundle: true,
  splitting: true,
  format: "esm",
  minify: true,
  target: ["es2022"],
  jsx: "automatic",
  outdir: OUT,
  entryNames: "[name]-[hash]",
  chunkNames: "chunk-[hash]",
  define: { "process.env.NODE_ENV": '"production"' },
  legalComments: "none",
  metafile: true,
  plugins: [documents],
  logLevel: "warning",
});

const [name, output] = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint) ?? [];
if (!output?.cssBundle) {
  throw new Error("the bundle lacks the page or its style sheet");
}
const preload = output.imports.filter(({ kind }) => kind === "import-statement").map(({ path }) => basename(path));
const manifest = { script: basename(name), style: basename(output.cssBundle), preload };
writeFileSync(join(OUT, "licenses.txt"), notices(metafile.inputs));
writeFileSync(join(OUT, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
