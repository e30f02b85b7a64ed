"""
Find out which service of a Compose project is nginx, which is the app, and which sites nginx serves.

A project need not declare any of this: first look at running processes, then at configured commands, then
at names.
"""

import contextlib
import json
import re
from typing import Any

import docker.errors

from whichhop.target.nginx_service import NginxService
from whichhop.target.service import jobs
from whichhop.target.site import Site
from whichhop.target.stack import Stack, StackError
from whichhop.target.upstream import Upstream

# As a program in a command line: "uwsgi --ini …" and "/usr/bin/uwsgi", but not "python3 /uwsgi/init.py".
COMMAND = r"(?:^|[\s/\"])(?:{name})(?:-debug|-core|_python\w*)?(?:[\s:\"]|$)"
NAMES = {"nginx": "nginx", "app": "uwsgi"}


def sites(stack: Stack, nginx: str = "", app: str = "") -> list[Site]:
    """
    Return the sites of a project, one for each server block of nginx that passes requests to an app.

    An nginx that does not run, or whose configuration cannot be read, counts as one site. ``nginx`` and ``app``
    name the services; if not given, they are discovered. Raise ``StackError`` if they do not exist.
    """
    services = dict(stack.definition["services"])
    for name in filter(None, (nginx, app)):
        if name not in services:
            known = ", ".join(services)
            raise StackError(f"{stack.project} has no service {name!r}; it has: {known}")
    nginx = nginx or _service(stack, services, "nginx", "")
    usual = app or _service(stack, services, "app", nginx)
    web = NginxService(stack, nginx)
    try:
        count = len(web.servers)
    except StackError as error:
        # The hops will find out why. Of several apps, nginx names the missing one: in its last log lines, or in
        # its answer now, if that app has just stopped.
        said = f"{error} {' '.join(web.refusal)}"
        wanted = re.search(r'host not found in upstream "([^:"]+)', said)
        if wanted and wanted[1] in services and not app:
            usual = wanted[1]
        return [Site(web, usual, _init(services, usual))]
    apps = {n: app or _behind(stack, services, web, web.servers[n][1], usual) for n in range(count)}
    found = [
        Site(web, service, _init(services, service), number)
        for number, service in apps.items()
        if service
    ]
    for site in found:
        site.name = site.visitor.host if len(found) > 1 else ""
        site.is_first = site is found[0]
    return found or [Site(web, usual, _init(services, usual))]


def _service(stack: Stack, services: dict[str, Any], role: str, but: str) -> str:
    """Return the service that most likely is nginx, or the app."""
    program = re.compile(COMMAND.format(name=NAMES[role]))
    before = services.get(but, {}).get("depends_on") or {}
    one_shot = {job for name in services for job in jobs(services, name)}
    scores = {}
    for name, service in services.items():
        if name == but or name in one_shot:
            continue
        meant = json.dumps([service.get(key) for key in ("entrypoint", "command")])
        image = json.dumps([service.get(key) for key in ("image", "build")])
        scores[name] = (
            8 * bool(program.search(_runs(stack, name)))
            + 4 * bool(program.search(meant))
            + 3 * (NAMES[role] in image.lower())
            + 2 * (NAMES[role] in name or (role == "app" and "django" in name))
            + (role == "app" and name in before)
        )
    best = max(scores, key=lambda name: scores[name], default="")
    if role == "app" and not scores.get(best) and program.search(_runs(stack, but)):
        return but  # both in one container
    if not best or not scores[best]:
        known = ", ".join(services)
        raise StackError(
            f"no service of {stack.project} looks like {NAMES[role]}: name it with --{role}"
            f" (there are: {known})"
        )
    return best


def _runs(stack: Stack, service: str) -> str:
    """Return the command lines of a service's container: the running ones, or the configured one."""
    try:
        container = stack.container(service)
    except StackError:
        return ""
    attributes = container.attrs
    with contextlib.suppress(docker.errors.APIError):  # it does not run, or has just stopped
        titles = container.top()
        column = next(i for i, title in enumerate(titles["Titles"]) if title in ("CMD", "COMMAND"))
        return "\n".join(row[column] for row in titles["Processes"] or [])
    return " ".join([attributes["Path"], *attributes["Args"]])


def _init(services: dict[str, Any], app: str) -> str:
    """Return the one-shot service that the app waits for; "" if there is none."""
    return next(iter(jobs(services, app)), "")


def _behind(
    stack: Stack, services: dict[str, Any], nginx: NginxService, upstream: Upstream, usual: str
) -> str:
    """
    Return the service behind a server block: the one that its upstream names, or that shares the socket's volume.

    Return the default one if there is none, which the hops will report; "" if it is a service
    without uWSGI, such as a frontend.
    """
    program = re.compile(COMMAND.format(name=NAMES["app"]))
    others = [name for name in services if name != nginx.name]
    if upstream.path:
        near = [n for n in others if _shares(stack, upstream.path, nginx.name, n)]
        near.sort(key=lambda name: (not program.search(_runs(stack, name)), name != usual))
        return near[0] if near else usual
    for name in others:
        if upstream.host in stack.addresses(name):
            is_app = name == usual or program.search(_runs(stack, name) + str(services[name]))
            return name if is_app or upstream.protocol == "uwsgi" else ""
    return usual


def _shares(stack: Stack, path: str, nginx: str, other: str) -> bool:
    try:
        return stack.same_place(path, nginx, other) is not None
    except StackError:
        return False  # it has no container
