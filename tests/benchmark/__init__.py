"""The benchmark: `python -m tests.benchmark` compares the gateway with its twins and floors on real servers.

`rows` fills the `databases`, `requests` writes what is asked, `servers` starts who answers (the gateway, `textbook`,
`plain`, `tests.support.twin`, `floors`), `client` sends the load, `measure` takes the rounds, `targets` says which
ratios are asked for and `table` shows them. `depth`, `soak`, `faults`, `overhead` and `in_memory` measure what a
comparison of servers does not show.
"""
