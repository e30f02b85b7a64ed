"""
What a project declares in its Compose file under ``x-whichhop``: its own commands, files and logs.

Nothing needs to be declared. If two files have the same top-level key, Compose uses only the last, so an
overlay uses a key of its own: each ``x-whichhop-NAME`` adds to ``x-whichhop``. doctor/README.md lists all keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whichhop.target.stack import StackError

KEY = "x-whichhop"


@dataclass(frozen=True)
class Declaration:
    """What a project declares; without it, everything is discovered, and fixes are general."""

    address_variable: str = ""  # of nginx's container or a job before it; holds the public URL
    request_id: str = ""  # the answer header whose value is in the logs of nginx and the app
    certificates: str = ""  # the prefix of the log lines of services that manage the certificate
    words: Mapping[str, str] = field(default_factory=dict)  # for the placeholders of causes
    fixes: Mapping[str, str] = field(default_factory=dict)  # by cause, in place of the general one
    log: Mapping[str, str] = field(default_factory=dict)  # by cause, a pattern for the app's log

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> "Declaration":
        """Return what a project declares; raise ``StackError`` if it is not valid."""
        found: dict[str, Any] = {}
        for key in sorted(key for key in definition if key == KEY or key.startswith(f"{KEY}-")):
            for name, value in (definition[key] or {}).items():
                attribute = name.replace("-", "_")
                wanted = (
                    str if attribute in ("address_variable", "request_id", "certificates") else dict
                )
                if attribute not in cls.__dataclass_fields__ or not isinstance(value, wanted):
                    known = ", ".join(name.replace("_", "-") for name in cls.__dataclass_fields__)
                    raise StackError(
                        f"{key} in the Compose file: {name} is not understood; it may have {known}"
                    )
                if isinstance(value, str):
                    found[attribute] = value
                else:
                    texts = {str(k): str(v).replace("$$", "$") for k, v in value.items()}
                    found[attribute] = {**found.get(attribute, {}), **texts}
        return cls(**found)
