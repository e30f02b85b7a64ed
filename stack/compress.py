"""
While the image is built: a smaller copy of each collected file, for nginx to send as it is.

``app.css`` gets ``app.css.gz`` and ``app.css.br`` beside it (``gzip_static`` and ``brotli_static`` in
nginx/site.conf). Made once, they may take the time that the highest levels need, far too much to
spend in front of a waiting visitor.
"""

import functools
import gzip
import shutil
import sys
from pathlib import Path

import brotli

# Less than a network packet, nobody waits for; each copy would still take a block of the disk.
SMALLEST = 256
# A copy must save this part of its original, or the browser's work to unpack it is for nothing:
# pictures and fonts are compressed already.
WORTH_IT = 0.05


@functools.cache  # most files are collected twice: with a hash in their name, and without
def variants(content: bytes) -> dict[str, bytes]:
    """Return what to store beside a file with this content, by the ending of its name."""
    smaller = {
        ".gz": gzip.compress(content, compresslevel=9, mtime=0),
        ".br": brotli.compress(content, quality=11, lgwin=24),
    }
    most = len(content) * (1 - WORTH_IT)
    return {suffix: data for suffix, data in smaller.items() if len(data) < most}


def main(directory: Path) -> None:
    """Compress what is in ``directory``, at any depth."""
    files = [file for file in directory.rglob("*") if file.is_file()]
    for file in files:
        if file.stat().st_size < SMALLEST or file.name == "staticfiles.json":
            continue
        for suffix, data in variants(file.read_bytes()).items():
            variant = file.with_name(file.name + suffix)
            variant.write_bytes(data)
            shutil.copystat(file, variant)  # one age and one mode for all that an address can give


if __name__ == "__main__":
    main(Path(sys.argv[1]))
