import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  schema: "schema.graphql",
  documents: ["client/*.graphql", "gallery/*.graphql"],
  emitLegacyCommonJSImports: false,
  config: {
    strictScalars: true,
    scalars: { DateTime: "string", JSON: "unknown", Long: "number" },
    useTypeImports: true,
  },
  generates: {
    "generated/schema.ts": { plugins: ["typescript"] },
    "generated/": {
      preset: "client",
      presetConfig: { fragmentMasking: { unmaskFunctionName: "readFragment" } },
    },
  },
};

export default config;
