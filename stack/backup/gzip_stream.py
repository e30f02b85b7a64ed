"""
Write a gzip stream that does not compress data which would not get smaller.

Images and videos are already compressed: compressing them again takes thirty times as long as copying. Python's
zlib cannot change its level within a stream, and streaming readers, such as tarfile, expect a single one. So such
data is written as "stored" blocks: RFC 1951, 3.2.4.
"""

import struct
import zlib
from typing import BinaryIO

HEADER = (
    b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"  # RFC 1952, 2.3: no name, no time, fastest, on any system
)
STORED = 0xFFFF  # bytes in a stored block, at most
SAMPLE = 4096


class GzipWriter:
    """Writes a gzip stream to a file; ``close`` writes its end, and leaves the file open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._deflate = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
        self._begun = False  # whether the compressor holds data that is not yet written
        self._crc = self._size = 0
        file.write(HEADER)

    def tell(self) -> int:
        """Return the number of bytes passed to ``write``."""
        return self._size

    def write(self, data: bytes) -> int:
        """Write data, compressed if a sample from its middle gets smaller; return its length."""
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        middle = len(data) // 2
        sample = data[middle : middle + SAMPLE]
        if len(sample) < SAMPLE or len(zlib.compress(sample, 1)) < SAMPLE * 0.95:
            self._file.write(self._deflate.compress(data))
            self._begun = True
            return len(data)
        if self._begun:
            # Flush to a byte boundary, where a stored block begins; later blocks refer to nothing before it.
            self._file.write(self._deflate.flush(zlib.Z_FULL_FLUSH))
            self._begun = False
        for start in range(0, len(data), STORED):
            block = data[start : start + STORED]
            self._file.write(struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF))
            self._file.write(block)
        return len(data)

    def close(self) -> None:
        """Write the end of the stream."""
        self._file.write(self._deflate.flush())
        self._file.write(struct.pack("<LL", self._crc, self._size & 0xFFFFFFFF))
