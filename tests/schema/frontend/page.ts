import type { CodegenConfig } from "@graphql-codegen/cli";

// The types of the deliveries page's documents, which stand beside its sources: gateway/page/src/operations.ts.
const config: CodegenConfig = {
  schema: "schema.graphql",
  documents: ["documents/*.graphql"],
  generates: {
    "generated/operations.ts": {
      plugins: ["typescript-operations"],
      config: {
        strictScalars: true,
        scalars: { DateTime: "string", JSON: "unknown", Long: "number" },
        useTypeImports: true,
        skipTypename: true,
        enumsAsTypes: true,
        onlyOperationTypes: true,
      },
    },
  },
};

export default config;
