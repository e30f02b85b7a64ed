"""The variables of the stack with their defaults, read from .env.example."""

import re

from tests.conftest import ROOT

EXAMPLE = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
BUILD_ONLY = {
    "BUILD_CA",
    "COMPOSE_FILE",
    "COMPOSE_PROJECT_NAME",
    "SITE_SETTINGS",
}  # compose.yaml passes these to no container
DEFAULTS = {name: value for name, value in EXAMPLE.items() if name not in BUILD_ONLY}
