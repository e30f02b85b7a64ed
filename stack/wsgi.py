"""
The site, with limits on the time that each request takes and waits, and a Date on each answer.

uWSGI's own "harakiri" is no limit: it starts again with every 64 KB of a request's body
(core/reader.c, inc_harakiri), so that a few large POSTs to a slow page would hold all workers for
minutes. The limit that a worker sets for itself is not moved.
https://uwsgi-docs.readthedocs.io/en/latest/PythonModule.html#uwsgi.set_user_harakiri

While all workers are busy, requests wait in the queue of the socket. In a rush that goes on, each of
them would be answered after a minute, to somebody who has left. So nobody works for those who left,
and once the queue has been long for a while, only who came just now is let in; the others get 503
at once. This is "controlled delay": https://queue.acm.org/detail.cfm?id=2839461

The Date is for pages that nginx keeps (nginx/cache.conf): from it a browser knows how old they are.
nginx has no Age header, and would otherwise write the time at which it sends them.
"""

import mmap
import time
from email.utils import formatdate

from django.conf import settings
from django.urls import get_resolver
from django.utils.module_loading import import_string

import uwsgi  # made by uWSGI, when it runs us

from . import forks, timeouts  # noqa: F401 (forks only has to be loaded)
from .answers import checked, client_has_left, log

site = import_string(settings.WSGI_APPLICATION)

# All views now, not with the first request of each worker: the workers share the memory, no visitor
# waits for it, and with compose/dev.yaml all have the code of the same moment.
URLS = get_resolver().url_patterns

# nginx answers the client with 504 at the limit (nginx/entrypoint.sh); the worker ends after that.
SECONDS = timeouts.WORKER

SHORT, LONG = 0.1, 2  # seconds in the queue
# Seconds for which the queue may be long: a slow page in each worker is no rush.
PATIENCE = SECONDS / 3

checked_site = checked(site, timeouts.REQUEST)

# When the queue was short last; in memory that all workers share, since this runs before the fork.
last_short = memoryview(mmap.mmap(-1, 8)).cast("d")
last_short[0] = time.time()


def application(environ, start_response):
    """Answer a request; the worker ends when that takes too long. PEP 3333."""
    if "QUEUED_AT" in environ:  # nginx/uwsgi_params; who asks at the socket itself is no visitor
        now = time.time()
        waited = now - float(environ["QUEUED_AT"])
        if waited < SHORT:
            last_short[0] = now
        elif waited > LONG:
            if client_has_left():
                start_response("499 Client Closed Request", [])
                return []
            if now - last_short[0] > PATIENCE:
                return refuse(environ, start_response, waited)
    uwsgi.set_user_harakiri(SECONDS)  # uWSGI forgets it when the request is done

    def start_dated_response(status, headers, *exc_info):
        return start_response(status, [("Date", formatdate(usegmt=True)), *headers], *exc_info)

    return checked_site(environ, start_dated_response)


def pause(_signal):
    """Take no request, between two of them, until a reload or a stop ends this worker (stack/handover/pause.py)."""
    time.sleep(timeouts.PAUSE)
    last_short[0] = time.time()  # neither came; who waited meanwhile did so for no rush


uwsgi.register_signal(int(uwsgi.opt["pause-signal"]), "workers", pause)


def refuse(environ, start_response, waited):
    """Answer 503 with the page that nginx has for it (nginx/errors.conf)."""
    log(
        environ,
        "WARNING",
        f"refused a request: the workers have been too busy for {PATIENCE:.0f} s",
        waited=round(waited, 1),
    )
    start_response("503 Service Unavailable", [("X-Accel-Redirect", "/.busy")])
    return []
