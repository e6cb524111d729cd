"""Where rows live: the engine, the tables, what differs between databases, and migrations."""
