"""A site is composed of services, and knows them by name."""

from pathlib import Path

from whichhop.target.nginx_service import NginxService
from whichhop.target.site import Site
from whichhop.target.stack import Stack


def stack() -> Stack:
    made = Stack(Path("/nonexistent"), "shop")
    names = ("web", "django", "migrate", "worker")
    made.definition = {"services": {name: {} for name in names}}
    return made


def test_its_services_are_told_from_the_others() -> None:
    site = Site(NginxService(stack(), "web"), "django", "migrate")
    assert {*site.stack.definition["services"]} - site.services == {"worker"}
    assert str(site.service("worker")) == "worker"
    assert site.service("web") is site.nginx
    assert Site(NginxService(stack(), "web"), "django").services == {"web", "django"}
