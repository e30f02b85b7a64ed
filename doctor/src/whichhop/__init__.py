"""The harness: what a hop of the chain is, how to reach it, what is wrong with it."""
