"""What views do, and what becomes of it on its way through nginx and uWSGI (tests/views)."""

from collections.abc import Callable, Iterator

import pytest
import requests
from whichhop.stack import Stack

from tests.conftest import started

FILES = "compose.yaml:tests/views/compose.yaml"


@pytest.fixture(scope="module")
def shared_stack(make_stack: Callable[..., Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    """`stack`, for the tests of this file: with the views of tests/views."""
    with started(make_stack(COMPOSE_FILE=FILES), pytestconfig) as stack:
        yield stack


# -- conditional writes


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_who_read_the_last_version_may_save_the_next(stack: Stack, encoding: str) -> None:
    """nginx makes the ETag of a page that it compresses a weak one, which fits no If-Match."""
    address = f"{stack.url}/note"
    page = requests.get(address, headers={"Accept-Encoding": encoding}, timeout=5)
    assert page.headers.get("Content-Encoding", "identity") == encoding
    tag = page.headers["ETag"]
    assert tag.startswith('W/"' if encoding == "gzip" else '"')

    def save(text: str) -> int:
        return requests.put(address, text, headers={"If-Match": tag}, timeout=5).status_code

    assert save(f"by {encoding}") == 204
    assert save("too late") == 412
    assert requests.get(address, timeout=5).json()["text"] == f"by {encoding}"
