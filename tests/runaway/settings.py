"""The site's own settings, with more pages."""

from mysite.settings import *  # noqa: F403

ROOT_URLCONF = "runaway.urls"
