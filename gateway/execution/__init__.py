"""How a document runs."""
