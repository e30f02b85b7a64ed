"""Paths in the site's containers; compose.yaml mounts the volumes."""

from pathlib import Path

DATA = Path("/srv/data")
SECRET_KEY = DATA / "secret_key"

MEDIA = Path("/srv/media")
PUBLIC = MEDIA / "public"  # nginx serves them at /media/
PRIVATE = MEDIA / "private"  # nginx sends them when the site asks it to: X-Accel-Redirect
UNFINISHED = MEDIA / "tmp"  # on the same volume: the last step of an upload is a rename, not a copy

# Collected while the image is built. The init job copies the files to the volume that nginx reads; the manifest
# stays here, so that an image always finds the names of its own release.
COLLECTED = Path("/collected")
STATIC = Path("/srv/static")
