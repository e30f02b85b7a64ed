"""The settings of the site, with the pages of tests/test_cache.py beside its own."""

from mysite.settings import *  # noqa: F403

ROOT_URLCONF = "cache_urls"
