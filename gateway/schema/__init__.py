"""What a client may ask: the GraphQL schema."""
