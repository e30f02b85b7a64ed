"""The variables of the stack with their defaults, as the person who copies .env.example reads them."""

import re

from tests.conftest import ROOT

EXAMPLE = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
BUILD_ONLY = {
    "BUILD_CA",
    "COMPOSE_FILE",
    "COMPOSE_PROJECT_NAME",
    "SITE_SETTINGS",
}  # no container gets them from compose.yaml
DEFAULTS = {name: value for name, value in EXAMPLE.items() if name not in BUILD_ONLY}
