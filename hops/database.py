"""Hop `database`: there, migrated, and can it be written?"""

from collections.abc import Iterator

from hops.causes import broken
from hops.finding import Finding, blocked, ok, unknown
from hops.site import DATABASE_ERRORS, Site
from hops.stack import StackError


def check(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with the database; takes the write lock for a moment, writes nothing."""
    if "error" in site.inside["load"]:
        yield blocked("database", "django")
        return
    if "sqlite" in site.inside:
        finding = _sqlite(site)
        if finding:
            yield finding
            return
    try:
        missing = site.report("migrations")["missing"]
    except StackError as error:
        yield unknown("database", str(error))
        return
    if missing:
        yield broken("migrations-missing", *missing, count=len(missing), first=missing[0])
        return
    tables = site.report("tables")["missing"]
    if tables:
        yield broken("tables-missing", *tables, first=tables[0])
        return
    page = site.inside["page"]
    if page.get("type") in DATABASE_ERRORS:
        yield broken("query-fails", error=page["error"], place=page["place"])
        return
    yield ok("database", "it answers, it is migrated, and its write lock can be had")


def _sqlite(site: Site) -> Finding | None:
    """Return what keeps SQLite from working; its message alone does not tell the causes apart."""
    report = site.inside["sqlite"]
    error = report.get("error", "")
    _, file, *_ = report["places"]
    if file.get("error") == "No such file or directory":
        return broken("database-missing", error, path=file["path"])
    for place in report["places"]:
        if not (place.get("readable") and place.get("writable")):
            return broken(
                "database-not-writable",
                error or f"{place['path']}: mode {place.get('mode')}",
                path=place["path"],
                mode=place.get("mode", place.get("error")),
                owner=place.get("owner", "unknown"),
                user=site.app_identity,
            )
    if "locked" in error:
        return broken("database-locked", error)
    if "malformed" in error or "not a database" in error:
        return broken("database-damaged", path=file["path"], error=error)
    return unknown("database", f"SQLite says: {error}") if error else None
