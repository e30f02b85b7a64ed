"""
The site, with a limit on the time of each request, and a Date on each answer.

uWSGI's own "harakiri" is no limit: it starts again with every 64 KB of a request's body
(core/reader.c, inc_harakiri), so that a few large POSTs to a slow page would hold all workers for
minutes. The limit that a worker sets for itself is not moved.
https://uwsgi-docs.readthedocs.io/en/latest/PythonModule.html#uwsgi.set_user_harakiri

The Date is for pages that nginx keeps (nginx/cache.conf): from it a browser knows how old they are.
nginx has no Age header, and would otherwise write the time at which it sends them.
"""

import os
from email.utils import formatdate

from mysite.wsgi import application as site

import uwsgi  # made by uWSGI, when it runs us

# nginx answers the client with 504 at the limit (nginx/entrypoint.sh); the worker ends after that.
SECONDS = int(os.environ["SITE_REQUEST_TIMEOUT"]) + 2


def application(environ, start_response):
    """Answer a request; the worker ends when that takes too long. PEP 3333."""

    def start_dated_response(status, headers, *exc_info):
        return start_response(status, [("Date", formatdate(usegmt=True)), *headers], *exc_info)

    uwsgi.set_user_harakiri(SECONDS)  # uWSGI forgets it when the request is done
    return site(environ, start_dated_response)
