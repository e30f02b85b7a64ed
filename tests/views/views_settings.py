"""The settings of the site, with the views of tests/test_views.py beside its own."""

from mysite.settings import *  # noqa: F403

ROOT_URLCONF = "views_urls"
