"""The stream that a backup is: any tool reads it, and what is compressed already is not compressed again."""

import gzip
import io
import random
import subprocess

from stack.backup.gzip_stream import GzipWriter


def written(*parts: bytes) -> bytes:
    output = io.BytesIO()
    stream = GzipWriter(output)
    assert [stream.write(part) for part in parts] == [len(part) for part in parts]
    assert stream.tell() == sum(map(len, parts))
    stream.close()
    return output.getvalue()


def test_whatever_is_written_comes_back() -> None:
    chance = random.Random(1)  # noqa: S311
    kinds = (
        chance.randbytes,
        lambda size: b"a" * size,
        lambda size: bytes(chance.choices(b"abc", k=size)),
    )
    sizes = (0, 1, 4095, 4096, 65_535, 65_536, 200_000)
    for _ in range(100):
        parts = [chance.choice(kinds)(chance.choice(sizes)) for _ in range(chance.randrange(8))]
        stream = written(*parts)
        assert gzip.decompress(stream) == b"".join(parts)
        process = subprocess.run(
            ["gzip", "--decompress"], input=stream, capture_output=True, check=True
        )
        assert process.stdout == b"".join(parts)


def test_only_what_gets_smaller_is_compressed() -> None:
    picture = random.Random(2).randbytes(1 << 20)  # noqa: S311
    text = b"some words, again and again; " * 40_000
    stream = written(text, picture, text)
    assert picture[:65_535] in stream
    assert len(picture) < len(stream) < len(picture) * 1.03
