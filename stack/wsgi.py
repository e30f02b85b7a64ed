"""
The WSGI application: the site with a time limit per request, load shedding, and a Date header on each answer.

uWSGI's own "harakiri" is not enough: its timer restarts with every 64 KB of a request's body
(core/reader.c, inc_harakiri), so that a few large POSTs to a slow page would occupy all workers for
minutes. The limit that a worker sets for itself does not move.
https://uwsgi-docs.readthedocs.io/en/latest/PythonModule.html#uwsgi.set_user_harakiri

While all workers are busy, requests wait in the socket's queue. Under lasting overload each would be answered
only after a minute, when its visitor has left. So requests whose client has left are skipped, and once
the queue has been long for a while, only requests that have just arrived are served; the others get 503
at once. This is "controlled delay": https://queue.acm.org/detail.cfm?id=2839461

The Date header is for pages that nginx caches (nginx/cache.conf): it tells a browser how old they are.
nginx has no Age header, and would otherwise send the current time as Date.
"""

import mmap
import time
from email.utils import formatdate

from django.conf import settings
from django.urls import get_resolver
from django.utils.module_loading import import_string

import uwsgi  # exists only inside uWSGI

from . import forks, timeouts  # noqa: F401 (forks only has to be loaded)
from .answers import checked, client_has_left, log

site = import_string(settings.WSGI_APPLICATION)

# Load all views now, not at each worker's first request: the workers then share the memory, no visitor
# waits for the import, and with compose/dev.yaml all workers have the same version of the code.
URLS = get_resolver().url_patterns

# nginx answers with 504 at the limit (nginx/entrypoint.sh); the worker is killed shortly after.
SECONDS = timeouts.WORKER

SHORT, LONG = 0.1, 2  # seconds in the queue
# Seconds for which the queue may be long: a slow page in each worker is not yet overload.
PATIENCE = SECONDS / 3

checked_site = checked(site, timeouts.REQUEST)

# When the queue was last short; in memory that all workers share, since this runs before the fork.
last_short = memoryview(mmap.mmap(-1, 8)).cast("d")
last_short[0] = time.time()


def application(environ, start_response):
    """Answer a request; uWSGI kills the worker if that takes too long. PEP 3333."""
    if "QUEUED_AT" in environ:  # nginx/uwsgi_params; without it, the request is not a visitor's
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
    """Accept no more requests until a reload or a stop ends this worker (stack/handover/pause.py)."""
    time.sleep(timeouts.PAUSE)
    last_short[0] = time.time()  # neither came; requests queued meanwhile are no sign of overload


uwsgi.register_signal(int(uwsgi.opt["pause-signal"]), "workers", pause)


def refuse(environ, start_response, waited):
    """Answer 503 with nginx's error page (nginx/errors.conf)."""
    log(
        environ,
        "WARNING",
        f"refused a request: the workers have been too busy for {PATIENCE:.0f} s",
        waited=round(waited, 1),
    )
    start_response("503 Service Unavailable", [("X-Accel-Redirect", "/.busy")])
    return []
