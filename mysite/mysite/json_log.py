"""One JSON object for each line of the log, whatever a program hands to the logging module."""

import copy
import json
import logging
import math

from pythonjsonlogger.json import JsonEncoder, JsonFormatter

# What the harness, and whoever reads the logs of several hops, relies on.
OURS = {"time", "level", "logger", "hop", "request_id"}


class JSONFormatter(JsonFormatter):
    """
    python-json-logger's formatter, for lines that are always JSON and whose first fields are always ours.

    By itself it writes NaN and Infinity, which JSON does not have, and lets ``extra={"level": …}`` replace the
    level; here that becomes ``extra_level``. https://nhairs.github.io/python-json-logger/
    """

    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception:  # above all: the arguments do not fit the message
            record = copy.copy(record)
            record.msg = f"{text(record.msg)} (with arguments that do not fit: {text(record.args)})"
            record.args = None
            return super().format(record)

    def add_fields(self, log_data, record, message_dict):
        clashes = record.__dict__.keys() & (OURS - {"request_id"})  # that one is the filter's
        if clashes:
            record = copy.copy(record)
            for name in clashes:
                record.__dict__[f"extra_{name}"] = record.__dict__.pop(name)
        renamed = {
            f"extra_{key}" if key in OURS else key: message_dict[key] for key in message_dict
        }
        super().add_fields(log_data, record, renamed)

    def jsonify_log_record(self, log_data) -> str:
        try:
            return json.dumps(log_data, cls=JsonEncoder, allow_nan=False)
        except Exception:  # NaN, a circle, a key or a number that JSON does not have, …
            return json.dumps(plain(log_data))


def plain(value, depth=0):
    """Return what is nearest to ``value`` and is JSON for certain."""
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


def text(value) -> str:
    """Return ``str(value)``, or what it is where that fails."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"
