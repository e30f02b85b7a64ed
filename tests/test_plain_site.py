"""A project as `django-admin startproject` makes it, in the place of mysite/, with settings that nobody touched."""

import io
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
import requests

from tests.conftest import copy_project, discard
from tests.support.people import create_user, log_in, submit
from tests.support.stack import Stack

# A page for every address there is, and one that takes uploads.
URLS = """
from django.core.files.storage import default_storage
from django.http import HttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def upload(request):
    name = default_storage.save("photo.png", request.FILES["photo"])
    return HttpResponse(default_storage.url(name))


urlpatterns += [path("upload", upload), re_path("", lambda request: HttpResponse("the shop"))]
"""


def startproject(image: str, directory: Path) -> None:
    """Make a project named shop with the Django of an image; nothing runs on this machine."""
    command = (
        "cd /tmp && mkdir site && python3 -m django startproject shop site && tar -c -C site ."
    )
    archive = docker.from_env().containers.run(
        image, ["bash", "-c", command], network_mode="none", remove=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")


@pytest.fixture(scope="module")
def shared_stack(
    images: str,
    make_stack: Callable[..., Stack],
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Stack]:
    """`stack`, for the tests of this file."""
    directory = copy_project(tmp_path_factory.mktemp("plain"))
    site = directory / "mysite"
    (site / "requirements.txt").rename(directory / "requirements.txt")
    shutil.rmtree(site)
    site.mkdir()
    startproject(f"{images}-app", site)
    (directory / "requirements.txt").rename(site / "requirements.txt")
    assert (site / "shop" / "settings.py").exists()
    with (site / "shop" / "urls.py").open("a") as file:
        file.write(URLS)

    stack = make_stack(directory=directory, SITE_SETTINGS="shop.settings")
    try:
        stack.compose("build", "app", timeout=600)
        stack.up("--no-build")
        yield stack
    finally:
        discard(stack, pytestconfig)


def test_its_pages_are_served(stack: Stack) -> None:
    answer = requests.get(f"{stack.url}/anything", timeout=10)
    assert (answer.status_code, answer.text) == (200, "the shop")
    assert "X-Request-ID" in answer.headers


def test_no_page_of_the_site_takes_the_place_of_the_health_checks(stack: Stack) -> None:
    assert requests.get(f"{stack.url}/livez", timeout=10).text == "ok\n"
    check = stack.run("app", *stack.container("app").attrs["Config"]["Healthcheck"]["Test"][1:])
    assert check.startswith('200 {"settings": "ok", "database": "ok", "migrations": "ok"')


def test_the_admin_works_and_its_static_files_have_hashed_names(stack: Stack) -> None:
    create_user(stack, "owner")
    page = log_in(stack, "owner").get(f"{stack.url}/admin/", timeout=10)
    assert page.status_code == 200
    match = re.search(r"/static/admin/css/base\.[0-9a-f]{12}\.css", page.text)
    assert match
    style = requests.get(stack.url + match[0], timeout=10)
    assert style.status_code == 200
    assert "immutable" in style.headers["Cache-Control"]


def test_a_form_is_accepted_from_the_public_address(stack: Stack) -> None:
    answer = submit(
        stack, requests.Session(), "/admin/login/", {"username": "no", "password": "body"}
    )
    assert answer.status_code == 200  # the form again, and no 403


def test_an_upload_is_served(stack: Stack) -> None:
    files = {"photo": ("photo.png", b"\x89PNG" * 1_000_000, "image/png")}
    address = requests.post(f"{stack.url}/upload", files=files, timeout=20).text
    answer = requests.get(stack.url + address, timeout=10)
    assert answer.content == b"\x89PNG" * 1_000_000
    assert answer.headers["Content-Type"] == "image/png"


def test_nothing_of_its_development_settings_counts(stack: Stack) -> None:
    show = (
        "from django.conf import settings as s;"
        "print(s.DEBUG, 'insecure' in s.SECRET_KEY, s.DATABASES['default']['NAME'], s.ALLOWED_HOSTS[0])"
    )
    seen = stack.manage("shell", "--no-imports", "--command", show)
    assert seen.strip() == "False False /srv/data/db.sqlite3 localhost"
