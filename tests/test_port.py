"""Hop `port`: the site is published where it was asked to be, and nowhere else."""

import requests

from tests.support.stack import Stack


def test_the_page_is_there(stack: Stack) -> None:
    page = requests.get(stack.url, timeout=5)
    assert page.status_code == 200
    assert "It works." in page.text


def test_only_nginx_is_published_and_only_on_loopback(stack: Stack) -> None:
    published = {
        service: stack.container(service).attrs["HostConfig"]["PortBindings"]
        for service in ("init", "app", "nginx")
    }
    port = stack.variables["SITE_PORT"]
    assert published == {
        "init": {},
        "app": {},
        "nginx": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]},
    }


def test_address_and_port_are_variables(stack: Stack) -> None:
    variables = {**stack.variables, "SITE_BIND": "127.0.0.2", "SITE_PORT": "8123"}
    config = Stack(stack.directory, stack.project, variables).compose("config").stdout
    assert 'host_ip: 127.0.0.2\n        target: 8080\n        published: "8123"' in config
    assert "SITE_URL: http://localhost:8123" in config
