"""What each hop of the chain is judged by: one module for each, and what several of them judge by."""
