"""What a shared library's headers tell: to which pages its segments are aligned.

https://refspecs.linuxfoundation.org/elf/elf.pdf
"""

import struct

from models.common.errors import DataError

LARGE_PAGE = 0x4000  # of newer phones
LOAD = 1


def alignment(content: bytes, name: str) -> int:
    """Return the smallest alignment of a library's loaded segments, in bytes; raises DataError for what is no library."""
    try:
        if content[:4] != b"\x7fELF" or content[5] != 1:
            raise ValueError("it is no little-endian ELF file")
        wide = content[4] == 2
        start, size, count = (
            struct.unpack_from("<Q", content, 32)[0] if wide else struct.unpack_from("<I", content, 28)[0],
            *struct.unpack_from("<HH", content, 54 if wide else 42),
        )
        segments = [content[start + i * size : start + (i + 1) * size] for i in range(count)]
        alignments = [
            struct.unpack_from("<Q", segment, 48)[0] if wide else struct.unpack_from("<I", segment, 28)[0]
            for segment in segments
            if struct.unpack_from("<I", segment)[0] == LOAD
        ]
        return min(alignments)
    except (ValueError, IndexError, struct.error) as error:
        raise DataError(f"{name} is no shared library ({error}). Take the engine's own archive.") from error
