"""Plans: how an operation is answered with one statement a level and no work for each value.

`compiler` makes of a checked operation a tree of nodes, which are those of `fields` and `connections`. Each takes all
objects of its level at once, as a batch (`batches`), and returns a value for each: leaves are checked and written by
the column (`columns`), and what a field loads is loaded for all of them by one statement. The compiler tells by a
field's source (`schema.fields`) which node it is; it knows no field by name.

A plan is only ever an optimisation. There is none for a document outside of what plans support, and a value outside of
it raises `Unplannable` at run time: the ordinary executor answers then, from the start, since reading has no side
effects.
"""
