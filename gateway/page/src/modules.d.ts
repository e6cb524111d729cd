declare module "*.graphql" {
  const sent: import("urql").DocumentInput & { text: string };
  export default sent;
}

declare module "*.css" {}
