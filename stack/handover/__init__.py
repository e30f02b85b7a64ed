"""How one uWSGI takes the place of another at the socket, and how its workers are let go."""
