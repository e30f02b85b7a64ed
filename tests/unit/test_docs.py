"""Whatever the docs point at is there."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *(
            path
            for folder in ("docs", "ladder", "doctor")
            for path in (ROOT / folder).rglob("*.md")
        ),
    }
)


def anchors(page: Path) -> set[str]:
    """Return what a link into a page may name, as GitHub makes it of the headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_the_docs_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", link):
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_each_limit_in_the_docs_is_provoked_by_a_test() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    rows = [
        line for line in (ROOT / "docs/limits.md").read_text().splitlines() if line[:2] == "| "
    ][1:]
    assert len(rows) > 10
    for row in rows:
        names = re.findall(r"\btest_\w+", row)
        assert names, row
        for name in names:
            assert f"def {name}(" in tests, name
