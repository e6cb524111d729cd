"""The callback gateway: one read path over callback deliveries, two faces.

A request arrives in `http`, which turns a credential into a `viewer`. A GraphQL document is checked and executed in
`execution`, against the types of `schema`; the frozen REST endpoint answers from the same rows. Both read through
`reading`, whose statements are pure functions and always carry the viewer's organization. `writing` holds the few ways
state changes, `database` knows where rows live and what differs between SQLite and PostgreSQL. Only `app` puts the
parts together; imports run one way, from `cli` down to `settings` and `errors`.
"""

__version__ = "0.1.0"
