"""Hello World: the tutorial's test.py. The smallest thing that uWSGI can run; no Django."""


def application(env, start_response):
    """Answer every request with the same two words. PEP 3333: bytes, in a list."""
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"Hello World"]
