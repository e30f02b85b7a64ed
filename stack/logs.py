"""
The site's log: one JSON object per line on stderr, each with the id of its request.

https://docs.djangoproject.com/en/6.1/topics/logging/
"""

import json
import logging
import math
from datetime import UTC, datetime
from typing import Any

from .request_id import request_id

# Attributes of every record, and "request" of Django's own, which cannot be written as JSON.
STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "request", "request_id"}

CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"stack": {"()": "stack.request_id.RequestIDFilter"}},
    "formatters": {"stack": {"()": "stack.logs.JsonFormatter"}},
    "handlers": {
        "stack": {"class": "logging.StreamHandler", "formatter": "stack", "filters": ["stack"]}
    },
    "root": {"handlers": ["stack"], "level": "INFO"},
    # With DEBUG off, Django's own handlers print nothing or send mail: let everything propagate to the root.
    "loggers": {"django": {"handlers": [], "level": "INFO", "propagate": True}},
}


def encode(value: Any) -> str:
    """Return any value as JSON."""
    try:
        # NaN and Infinity, which Python would write, are not valid JSON.
        return json.dumps(value, allow_nan=False)
    except Exception:  # a circular reference, a key that is no string, a number of 5,000 digits, …
        return json.dumps(plain(value))


def plain(value: Any, depth: int = 0) -> Any:
    """Return the closest value that is certain to be valid JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and value.bit_length() > 1024:
        return hex(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    if depth < 8 and isinstance(value, dict):
        return {text(key): plain(item, depth + 1) for key, item in value.items()}
    if depth < 8 and isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in value]
    return text(value)


def text(value: Any) -> str:
    """Return ``str(value)``, or the name of its type if that fails."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


class JsonFormatter(logging.Formatter):
    """
    Write a record as one JSON object.

    ``extra``, or a dictionary passed as the message, comes last and does not replace other fields.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        given = {name: each for name, each in vars(record).items() if name not in STANDARD}
        try:
            message = record.getMessage()
            if isinstance(record.msg, dict):
                given |= record.msg
                message = given.pop("message", "")
        except Exception:  # the arguments do not fit the message: log it all the same
            message = f"{text(record.msg)} (with arguments that do not fit: {text(record.args)})"
        fields = {
            "level": record.levelname,
            "logger": record.name,
            "message": message,
            "request_id": request_id.get(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "hop": "django",
        }
        if record.exc_info and record.exc_info[0]:
            fields["exc_info"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack_info"] = self.formatStack(record.stack_info)
        for name, value in given.items():
            fields[f"extra_{name}" if name in fields else text(name)] = value
        return "{" + ", ".join(f"{json.dumps(k)}: {encode(v)}" for k, v in fields.items()) + "}"


def writes_to_the_console(handler: dict[str, Any]) -> bool:
    """Return whether a handler of ``LOGGING`` writes to stderr or stdout, which Docker logs."""
    return handler.get("class") == "logging.StreamHandler"


def layered(site: dict[str, Any]) -> dict[str, Any]:
    """
    Return ``LOGGING`` of ``site``, which may be empty, merged with this one.

    The site's loggers, levels and handlers are kept. Its console output becomes JSON as well, unless it uses
    a formatter class of its own.
    """
    config: dict[str, Any] = {**site, **CONFIG}
    for part in ("filters", "formatters", "handlers", "loggers"):
        config[part] = {**CONFIG[part], **site.get(part, {})}

    custom = {name for name, each in site.get("formatters", {}).items() if "()" in each}
    console = {n for n, each in site.get("handlers", {}).items() if writes_to_the_console(each)}
    for name in console:
        handler = site["handlers"][name]
        formatter = handler.get("formatter")
        config["handlers"][name] = {
            **handler,
            "formatter": formatter if formatter in custom else "stack",
            "filters": [*handler.get("filters", []), "stack"],
        }

    root = site.get("root") or config["loggers"].get("", {})
    config["loggers"].pop("", None)  # another name of the root logger
    if root.get("handlers"):
        config["root"] = root
        return config
    config["root"] = {**CONFIG["root"], **{k: v for k, v in root.items() if k != "handlers"}}
    # If both a logger of the site and the root wrote to the console, each line would appear twice.
    for name, logger in config["loggers"].items():
        if console & {*logger.get("handlers", [])}:
            config["loggers"][name] = {**logger, "propagate": False}
    return config
