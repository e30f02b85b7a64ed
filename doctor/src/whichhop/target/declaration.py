"""
What a project says of itself in its Compose file, under ``x-whichhop``: its own commands, files and logs.

Nothing needs to be declared. Compose replaces a top-level key that a second file has, too, so that an
overlay has a key of its own: each ``x-whichhop-NAME`` adds to ``x-whichhop``. doctor/README.md has them all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whichhop.target.stack import StackError

KEY = "x-whichhop"


@dataclass(frozen=True)
class Declaration:
    """What a project declares; without it, everything is found by looking, or said in general words."""

    address_variable: str = ""  # of nginx's container or a job before it: where visitors come to
    request_id: str = ""  # a header of each answer, whose value is in the logs of nginx and the app
    certificates: str = ""  # how the lines begin of services that see to nginx's certificate
    words: Mapping[str, str] = field(default_factory=dict)  # for the braces of causes
    fixes: Mapping[str, str] = field(default_factory=dict)  # by cause, in place of the general one
    log: Mapping[str, str] = field(default_factory=dict)  # by cause, a pattern of the app's log

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> "Declaration":
        """Return what a project declares; raise ``StackError`` when that is not understood."""
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
