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

# What every record has, and "request", of Django's own records, which no line of JSON can hold.
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
    # Django's own handlers print nothing, or mail, when DEBUG is off: let everything reach the root.
    "loggers": {"django": {"handlers": [], "level": "INFO", "propagate": True}},
}


def encode(value: Any) -> str:
    """Return a value as JSON, whatever it is."""
    try:
        # NaN and Infinity, which Python would write, are no JSON.
        return json.dumps(value, allow_nan=False)
    except Exception:  # a circle, a key that is no text, a number of a thousand digits, …
        return json.dumps(plain(value))


def plain(value: Any, depth: int = 0) -> Any:
    """Return what is nearest to a value and is JSON for certain."""
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
    """Return ``str(value)``, or what it is where that fails."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


class JsonFormatter(logging.Formatter):
    """
    Write a record as one JSON object.

    What was given as ``extra``, or as a dictionary in the place of the message, comes last and replaces nothing.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        given = {name: each for name, each in vars(record).items() if name not in STANDARD}
        try:
            message = record.getMessage()
            if isinstance(record.msg, dict):
                given |= record.msg
                message = given.pop("message", "")
        except Exception:  # the arguments do not fit: still worth a line
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
    """Return whether a handler of ``LOGGING`` writes to stderr or stdout, which Docker keeps."""
    return handler.get("class") == "logging.StreamHandler"


def layered(site: dict[str, Any]) -> dict[str, Any]:
    """
    Return ``LOGGING`` for a site with this one, which may be empty.

    The site's loggers, levels and handlers stay. What it writes to the console becomes JSON as well, unless
    a formatter of a class of its own makes something else of it.
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
    config["loggers"].pop("", None)  # the root by another name
    if root.get("handlers"):
        config["root"] = root
        return config
    config["root"] = {**CONFIG["root"], **{k: v for k, v in root.items() if k != "handlers"}}
    # With a root that writes, what a logger of the site has written would be written twice.
    for name, logger in config["loggers"].items():
        if console & {*logger.get("handlers", [])}:
            config["loggers"][name] = {**logger, "propagate": False}
    return config
