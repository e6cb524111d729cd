"""Statistics of the past, counted once: what they cost does not grow with the rows.

Time is cut into quarters of an hour, 8 of these into the next longer period, and so on (`periods`). What was counted of
a period (`tally`) is stored in a database of the gateway's (`stored`) by one process of all gateways (`counter`). An
answer adds up stored periods, the longest that there are, and reads rows for the rest (`asked`, `answers`,
`combining`): the edges of what is asked, what is younger than what was counted, and quarters in which something changed
since.

A stored period is whole and true, or it is not used. How a change is noticed depends on whose tables they are:

- *watched* tables have triggers (`triggers`), which leave a mark of the quarter with every change, in its transaction.
  Inserts, updates, deletes and commits in whatever order are seen as soon as they are committed.
- of others the gateway reads what changed lately (`gateway.reading.changes`), from a little before the time up to which
  it was read last: a transaction has `SECONDS_LATE` from the time that it writes down to its commit. What that does not
  tell (deleted rows, rows changed without a new `updated_at`, later commits) is found when all is counted again, again
  and again, the oldest first; an answer's `asOf` says since when.

An answer never mixes what was counted with what changed meanwhile. It reads what is stored, then the rows of the rest
by one statement, then looks whether anything changed in a quarter that it took from the store, or the store itself;
then it starts over. So it is what the rows were when that statement ran.

Only who holds the lease (`lease`) writes what is counted; each transaction begins with a proof of it.
"""
