"""Hello World: what the vassal hello.ini runs. The smallest site that there is; no Django."""


def application(env, start_response):
    """Answer every request with the same two words. PEP 3333: bytes, in a list."""
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"Hello World"]
