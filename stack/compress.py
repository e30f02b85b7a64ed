"""
Compress each collected static file while the image is built.

``app.css`` gets ``app.css.gz`` and ``app.css.br`` beside it (``gzip_static`` and ``brotli_static`` in
nginx/site.conf). They are made once, so they can use the highest levels, which are too slow to run while a
visitor waits.
"""

import functools
import gzip
import shutil
import sys
from pathlib import Path

import brotli

# Smaller files fit into one network packet; a copy would save no time and still take a disk block.
SMALLEST = 256
# A copy must save at least this share, or decompressing it is not worth the browser's time:
# images and fonts are already compressed.
WORTH_IT = 0.05


@functools.cache  # most files are collected twice: with a hash in the name and without
def variants(content: bytes) -> dict[str, bytes]:
    """Return the compressed copies of this content, by file name suffix."""
    smaller = {
        ".gz": gzip.compress(content, compresslevel=9, mtime=0),
        ".br": brotli.compress(content, quality=11, lgwin=24),
    }
    most = len(content) * (1 - WORTH_IT)
    return {suffix: data for suffix, data in smaller.items() if len(data) < most}


def main(directory: Path) -> None:
    """Compress all files below ``directory``."""
    files = [file for file in directory.rglob("*") if file.is_file()]
    for file in files:
        if file.stat().st_size < SMALLEST or file.name == "staticfiles.json":
            continue
        for suffix, data in variants(file.read_bytes()).items():
            variant = file.with_name(file.name + suffix)
            variant.write_bytes(data)
            shutil.copystat(file, variant)  # all forms of a file have the same time and mode


if __name__ == "__main__":
    main(Path(sys.argv[1]))
