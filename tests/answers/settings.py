"""The site's own settings, with bad pages and a middleware that fails when it is told to."""

from mysite.settings import *  # noqa: F403
from mysite.settings import MIDDLEWARE

ROOT_URLCONF = "answers.urls"
MIDDLEWARE = ["answers.urls.fail_in_middleware", *MIDDLEWARE]
