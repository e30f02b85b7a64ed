"""Hop `database`: is it reachable, migrated and writable?"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from whichhop.checks import shared
from whichhop.finding import (
    Cause,
    Causes,
    Finding,
    blocked,
    by_hand,
    command,
    config,
    merge,
    ok,
    unknown,
)
from whichhop.target.site import Site
from whichhop.target.site_report import DATABASE_ERRORS, Sqlite, failed, known
from whichhop.target.stack import StackError

CAUSES = Causes(
    {
        "migrations-missing": Cause(
            "database",
            "500 on pages that use the newest tables",
            "The database lacks {count} migrations, {first} the first.",
            command("{migrate}"),
        ),
        "tables-missing": Cause(
            "database",
            "500 on pages that use them",
            "The database has no table {first}, though its migrations count as applied.",
            by_hand("restore the database from a backup"),
        ),
        "database-missing": Cause(
            "database",
            "500 on every page",
            "There is no database at {path}.",
            by_hand("restore it, or make a new one: {migrate}"),
        ),
        "database-not-writable": Cause(
            "database",
            "pages work, logging in gets 500",
            "The site may not write to {path} (mode {mode}, owner {owner}): SQLite needs to write the file"
            " and its directory.",
            command("give both to the user of the app container: chown -R {user}"),
        ),
        "database-not-on-volume": Cause(
            "database",
            "all data is gone after the next deploy",
            "The database is at {path}, which is no volume: it ends with the container.",
            config("mount a named volume at the directory of the database in {app}"),
        ),
        "query-fails": Cause(
            "database",
            "500 on pages that use the table",
            "The front page asks the database for something that it has not: {error} ({place}).",
            by_hand("make the migration that is missing, or restore the database from a backup"),
        ),
        "database-locked": Cause(
            "database",
            "500 or a long wait when something is saved",
            "Another process holds the database's write lock for more than 2 s.",
            by_hand(
                "find it: docker compose top {app}; a shell or a command left open holds it until it ends"
            ),
        ),
        "database-damaged": Cause(
            "database",
            "500 on every page",
            "SQLite cannot use {path}: {error}.",
            by_hand("restore the file from a backup"),
        ),
        "database-too-many-clients": Cause(
            "database",
            "500 under load",
            "The database takes no more connections: {error}",
            by_hand("fewer workers, a smaller CONN_MAX_AGE, a pool; only then max_connections"),
        ),
    }
)

# Messages of the client libraries of PostgreSQL and MySQL.
REFUSED = {
    "database-host-unknown": r"could not translate host name|Name or service not known|Unknown MySQL",
    "database-password-refused": r"password authentication failed|Access denied for user|role .* does not exist",
    "database-too-many-clients": r"too many clients|connection slots are reserved|Too many connections",
    "database-refused": r"Connection refused|Can't connect|timeout expired|timed out|No route to host"
    r"|the database system is starting up",
}


def check(site: Site) -> Iterator[Finding]:
    """Yield the faults of the database; take the write lock for a moment, but write nothing."""
    report = site.app.report
    if failed(report.load) or failed(report.settings):
        yield blocked("database", "django")
        return
    if not report.has_django or not known(report.settings).database.engine:
        yield ok("database", "the site has no database")
        return
    if found := _sqlite(site, report.sqlite) if report.sqlite else _server(site):
        yield found
        return
    try:
        missing = known(report.migrations).missing
    except StackError as error:
        yield unknown("database", str(error))
        return
    if missing:
        yield CAUSES.broken(
            site, "migrations-missing", *missing, count=len(missing), first=missing[0]
        )
        return
    tables = known(report.tables).missing
    if tables:
        yield CAUSES.broken(site, "tables-missing", *tables, first=tables[0])
        return
    wrong = failed(report.page)
    if wrong and wrong.type in DATABASE_ERRORS:
        yield CAUSES.broken(site, "query-fails", error=wrong.error, place=wrong.place)
        return
    what = "its write lock can be had" if report.sqlite else "it takes connections"
    yield ok("database", f"it answers, it is migrated, and {what}")


def _server(site: Site) -> Finding | None:
    """Return why connecting to a database server fails."""
    wrong = failed(site.app.report.connect)
    if not wrong:
        return None
    database = known(site.app.report.settings).database
    where = ":".join(filter(None, (database.host or "a local socket", database.port)))
    for cause, pattern in REFUSED.items():
        if re.search(pattern, wrong.error):
            words = {"where": where, "host": database.host, "error": wrong.error}
            return merge(CAUSES, shared.CAUSES).broken(site, cause, wrong.error, **words)
    return unknown("database", wrong.error)


def _sqlite(site: Site, report: Sqlite) -> Finding | None:
    """Return why SQLite fails; its message alone does not distinguish the causes."""
    error = report.error
    if len(report.places) < 2:
        return unknown("database", error)
    _, file, *_ = report.places
    if file.error == "No such file or directory":
        return CAUSES.broken(site, "database-missing", error, path=file.path)
    for place in report.places:
        if place.full:
            return shared.CAUSES.broken(site, "disk-full", error, path=place.path)
        if not (place.readable and place.writable):
            return CAUSES.broken(
                site,
                "database-not-writable",
                error or f"{place.path}: mode {place.mode}",
                path=place.path,
                mode=place.mode or place.error,
                owner=place.owner,
                user=site.app.identity,
            )
    if "locked" in error:
        return CAUSES.broken(site, "database-locked", error)
    if "malformed" in error or "not a database" in error:
        return CAUSES.broken(site, "database-damaged", path=file.path, error=error)
    if error:
        return unknown("database", f"SQLite says: {error}")
    if not site.app.mount(str(PurePosixPath(file.path).parent)):
        return CAUSES.broken(site, "database-not-on-volume", path=file.path)
    return None
