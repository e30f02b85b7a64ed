"""How one uWSGI replaces another at the socket, and how the old one's workers finish."""
