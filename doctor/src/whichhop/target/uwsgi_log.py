"""
How uWSGI's own log lines begin: with a date, in whatever format its options set.

core/logging.c: ``logdate``, ``log-date`` and ``log-prefix`` are one option, whose value is a format of
strftime(3) or a word for yes; ``log-encoder`` adds text around it. Later parts of a line may be a client's
text, so a pattern for uWSGI's lines must start with this beginning.
"""

import re
from collections.abc import Mapping, Sequence

# "Sun Nov 29 23:44:37 2026 - ", which uWSGI writes by default.
CTIME = r"\w{3} \w{3} [\d :]{16} - "
# If its options are not known: that, or a date in digits.
USUAL = rf"^(?:{CTIME}|[\d/.:,TZ+\[\] -]{{8,63}} - )?"

YES = ("", "true", "1", "on", "yes")

# Patterns for the conversions of strftime(3). Names of days and months may be in any language.
CONVERSIONS = {
    **dict.fromkeys("aAbBhpPZ", r"[^\W\d]*\.?"),
    **dict.fromkeys("CdgGHIjmMsSuUVwWyY", r"\d+"),
    **dict.fromkeys("ekl", r" ?\d+"),
    **dict.fromkeys("cxX+", r".{1,40}?"),
    "D": r"\d+/\d+/\d+",
    "F": r"\d+-\d+-\d+",
    "r": r"\d+:\d+:\d+ ?\S*",
    "R": r"\d+:\d+",
    "T": r"\d+:\d+:\d+",
    "n": r"\s",
    "t": r"\s",
    "z": r"[+-]\d+",
    "%": "%",
}


def beginning(options: Mapping[str, Sequence[str]]) -> str:
    """Return a regular expression for the start of uWSGI's log lines, according to its options."""
    told = [
        value for name in ("logdate", "log-date", "log-prefix") for value in options.get(name, ())
    ]
    formats = [value for value in told if value.lower() not in YES]
    date = f"{strftime(formats[-1])} - " if formats else CTIME
    around = ""
    for encoder in options.get("log-encoder", ()):
        name, _, text = encoder.partition(" ")
        around = _encoded(name.partition(":")[0], text) + around
    return f"^{around}(?:{date})?"


def strftime(text: str) -> str:
    """Return a regular expression for the output of strftime(3) with a format."""
    parts = re.split(r"%[-_0^#]?[EO]?(.)", text)
    return "".join(
        CONVERSIONS.get(part, ".*?") if number % 2 else re.escape(part)
        for number, part in enumerate(parts)
    )


def _encoded(name: str, text: str) -> str:
    """Return a regular expression for the text that an encoder puts before a line."""
    if name == "prefix":
        return re.escape(text)
    if name not in ("format", "json"):
        return ""
    before = re.split(r"\$\{msg(?:nl)?\}", text)[0]
    parts = re.split(r"\$\{(strftime:[^}]*|unix|micros|millis)\}", before)
    return "".join(
        (strftime(part[9:]) if part.startswith("strftime:") else r"\d+")
        if number % 2
        else re.escape(part)
        for number, part in enumerate(parts)
    )
