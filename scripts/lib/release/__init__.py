"""
Deploy, rollback and reload: what changes the containers of a site while it serves.

Run by the scripts of the same names. Python's standard library only, so that a server needs nothing else.
"""
