"""What arrives on a socket: GraphQL, the frozen REST endpoint, credentials, errors, probes."""
