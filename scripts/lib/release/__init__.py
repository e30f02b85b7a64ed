"""
Deploy, rollback, reload and start: everything that changes the containers of a running site.

Run by the scripts of the same names. Uses only Python's standard library, so that a server needs nothing else.
"""
