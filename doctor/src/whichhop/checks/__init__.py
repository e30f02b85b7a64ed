"""The checks of each hop: one module per hop, and what several of them share."""
