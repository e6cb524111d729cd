import graphql from "@graphql-eslint/eslint-plugin";

const allowed = {
  // Only roots are connections. Children are plain lists under a `first`, so that a page of batches with their
  // deliveries and attempts needs no `edges { node { … } }` at each level; and a connection has `nodes` beside `edges`.
  "@graphql-eslint/relay-edge-types": ["error", { listTypeCanWrapOnlyEdgeType: false }],
  "@graphql-eslint/strict-id-in-types": [
    "error",
    {
      exceptions: {
        suffixes: [
          "Connection", // A page of a list: Relay knows it by its field and arguments.
          "Edge", // A place in a list: Relay knows it by its cursor.
          "Count", // Values from here on: computed for one question, and nobody asks for them again by an id.
          "Stats",
          "Bucket",
          "Times",
          "Preview",
          "Link",
          "Redeliveries", // What came of a mutation, once.
          "Change", // An event of a subscription: it is taken up again by its cursor.
        ],
        types: [
          "RedeliveryMade", // What came of a mutation for one batch.
          "RedeliveryRefused",
          "RedeliveryUnknown",
          "RedeliveryPlanned",
          "BatchCallbackPayload", // The body of a delivery, parsed: it has the keys that the platform signs, and no more.
          "BatchItem", // Its id is the platform's answer, which may lack one.
          "CallbackFailure", // A value of its delivery, as those above.
          "PageInfo", // Relay's own.
          "Viewer", // Who asks: there is one.
        ],
      },
    },
  ],
};

export default [
  {
    files: ["schema.graphql"],
    languageOptions: {
      parser: graphql.parser,
      parserOptions: { graphQLConfig: { schema: "schema.graphql" } },
    },
    linterOptions: { noInlineConfig: true },
    plugins: { "@graphql-eslint": graphql },
    rules: {
      ...graphql.configs["flat/schema-recommended"].rules,
      ...graphql.configs["flat/schema-relay"].rules,
      ...allowed,
    },
  },
];
