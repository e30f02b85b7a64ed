"""
The report of the probe ``whichhop.probes.site``, part by part.

A part that failed is a ``Problem``; one that the probe did not reach is ``None``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from whichhop.target.stack import StackError

T = TypeVar("T")

# What Django raises for faults of the database: django.db.utils.
DATABASE_ERRORS = {"OperationalError", "ProgrammingError", "DatabaseError"}


@dataclass(frozen=True)
class Problem:
    """An exception: its last line, its type, and the line of the site's own code that led to it."""

    error: str
    type: str = ""
    place: str = ""


@dataclass(frozen=True)
class Uwsgi:
    """How uWSGI was started: the options that the hops check, and unknown options."""

    options: Mapping[str, list[str]]
    misspelt: list[str]
    numbers: Mapping[str, str] = field(default_factory=dict)  # whose values are not just numbers


@dataclass(frozen=True)
class Load:
    """The loaded WSGI application, and whether it is Django's."""

    module: str
    django: bool


@dataclass(frozen=True)
class Database:
    """The default database of the settings."""

    engine: str
    name: str
    host: str
    port: str


@dataclass(frozen=True)
class Settings:
    """The settings on which the hops must agree."""

    debug: bool
    allowed_hosts: list[str]
    static_url: str
    media_url: str
    media_root: str
    secure_proxy_ssl_header: list[str] | None
    use_x_forwarded_host: bool
    csrf_trusted_origins: list[str]
    csrf_cookie_secure: bool
    csrf_cookie_name: str
    database: Database
    host: str  # the first that it allows
    has_secret_key: bool


@dataclass(frozen=True)
class Urls:
    """The login URLs, if any."""

    login: str


@dataclass(frozen=True)
class Log:
    """What logs an exception in a view."""

    handlers: list[str]


@dataclass(frozen=True)
class Static:
    """One static file: its URL, the collected file, and the file that it was collected from."""

    url: str
    file: str = ""
    source: str = ""
    hashed: bool = False
    elsewhere: str = ""  # the URL, if another host serves the static files


@dataclass(frozen=True)
class Access:
    """Owner and mode of a path, and whether the site may use it."""

    path: str
    error: str = ""
    mode: str = ""
    owner: str = "unknown"
    readable: bool = False
    writable: bool = False
    full: bool = False


@dataclass(frozen=True)
class Media:
    """The directories for uploads and the newest upload; or why there is nothing to check."""

    none: str = ""
    directories: tuple[Access, ...] = ()
    newest: str = ""
    name: str = ""


@dataclass(frozen=True)
class Sqlite:
    """The database's directory, its file and those beside it; and SQLite's error, if any."""

    places: tuple[Access, ...]
    error: str = ""


@dataclass(frozen=True)
class Missing:
    """What the database lacks: migrations, or tables."""

    missing: list[str]


@dataclass(frozen=True)
class Page:
    """The front page, as answered by the probe beside uWSGI."""

    status: int


@dataclass(frozen=True)
class Connect:
    """The database server accepts connections."""


@dataclass(frozen=True)
class SiteReport:
    """All parts of the report."""

    load: Load | Problem
    uwsgi: Uwsgi | Problem | None = None
    settings: Settings | Problem | None = None
    urls: Urls | Problem | None = None
    log: Log | Problem | None = None
    static: Static | Problem | None = None
    media: Media | Problem | None = None
    sqlite: Sqlite | None = None
    connect: Connect | Problem | None = None
    migrations: Missing | Problem | None = None
    tables: Missing | Problem | None = None
    page: Page | Problem | None = None

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> "SiteReport":
        """Return the report from the JSON object that the probe printed."""
        found: dict[str, Any] = {
            name: _problem(part) if "error" in part and name != "sqlite" else KINDS[name](part)
            for name, part in parts.items()
            if name in KINDS
        }
        if "sqlite" in parts and "places" not in parts["sqlite"]:
            found["sqlite"] = Sqlite((), parts["sqlite"]["error"])
        return cls(**found)

    @property
    def has_django(self) -> bool:
        """Whether the app is a Django site; raise ``StackError`` if it cannot be loaded."""
        if isinstance(self.load, Problem):
            raise StackError(f"the site cannot be loaded: {self.load.error}")
        return self.load.django


def known(part: T | Problem | None) -> T:
    """Return a part of a report; raise ``StackError`` with the reason if it failed."""
    if part is None:
        raise StackError("the site cannot be loaded")
    if isinstance(part, Problem):
        raise StackError(part.error)
    return part


def failed(part: object) -> Problem | None:
    """Return why a part of a report failed; ``None`` if it did not, or was not tried."""
    return part if isinstance(part, Problem) else None


def _problem(part: Mapping[str, Any]) -> Problem:
    return Problem(part["error"], part.get("type", ""), part.get("place", ""))


def _settings(part: Mapping[str, Any]) -> Settings:
    lower = {name.lower(): value for name, value in part.items()}
    lower["database"] = Database(**lower["database"])
    return Settings(**{field.name: lower[field.name] for field in fields(Settings)})


def _media(part: Mapping[str, Any]) -> Media:
    places = tuple(Access(**place) for place in part.get("directories", ()))
    return Media(**{**part, "directories": places})


def _sqlite(part: Mapping[str, Any]) -> Sqlite:
    places = tuple(Access(**place) for place in part.get("places", ()))
    return Sqlite(places, part.get("error", ""))


KINDS: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "uwsgi": lambda part: Uwsgi(**part),
    "load": lambda part: Load(**part),
    "settings": _settings,
    "urls": lambda part: Urls(**part),
    "log": lambda part: Log(**part),
    "static": lambda part: Static(**part),
    "media": _media,
    "sqlite": _sqlite,
    "connect": lambda part: Connect(),
    "migrations": lambda part: Missing(**part),
    "tables": lambda part: Missing(**part),
    "page": lambda part: Page(**part),
}
