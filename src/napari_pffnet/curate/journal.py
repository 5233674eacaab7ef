"""An append-only file of edits: what was edited is on disk before the next edit.

A file is a row of records: length and CRC-32 of the payload (uint32 each, little-endian), then the payload, which is
one line of JSON and zlib-compressed arrays. Each record is synchronised to the disk (`fsync`) before `append`
returns: an edit is a person's action, a few in a second at most, and a few milliseconds are not felt. So neither a
killed program nor a power cut loses a finished edit. A record that was being written at such a moment is incomplete;
reading stops before it.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.typing import Array

HEAD = struct.Struct("<II")
FAST = 1


class Record(NamedTuple):
    """One record: a JSON object and arrays."""

    content: dict[str, Any]
    arrays: list[Array]


def encode(content: dict[str, Any], arrays: Sequence[Array] = ()) -> bytes:
    """Return the bytes of a record."""
    line = json.dumps({**content, "arrays": [[array.dtype.str, array.shape] for array in arrays]}, default=str)
    body = zlib.compress(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays), FAST)
    payload = line.encode() + b"\n" + body
    return HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def decode(payload: bytes) -> Record:
    """Read a record's payload."""
    line, _, body = payload.partition(b"\n")
    content, data = json.loads(line), zlib.decompress(body)
    arrays, start = [], 0
    for kind, shape in content.pop("arrays"):
        dtype, count = np.dtype(kind), int(np.prod(shape))
        arrays.append(np.frombuffer(data, dtype, count, start).reshape(shape))
        start += count * dtype.itemsize
    return Record(content, arrays)


def read_journal(file: Path) -> tuple[list[Record], int]:
    """Return the whole records of a file, and the number of bytes that they take; what follows is damaged or torn."""
    data = file.read_bytes()
    records: list[Record] = []
    position = 0
    while position + HEAD.size <= len(data):
        length, crc = HEAD.unpack_from(data, position)
        payload = data[position + HEAD.size : position + HEAD.size + length]
        if len(payload) < length or length == 0 or zlib.crc32(payload) != crc:
            break
        records.append(decode(payload))
        position += HEAD.size + length
    return records, position


class Journal:
    """A journal open for appending.

    Parameters
    ----------
    file : Path
        An existing journal.
    length : int
        Where its last whole record ends; what follows is cut off.
    """

    def __init__(self, file: Path, length: int) -> None:
        self.file = file
        self._length = length
        self._waiting: list[bytes] = []
        self._handle = os.open(file, os.O_RDWR | getattr(os, "O_BINARY", 0))
        os.ftruncate(self._handle, self._length)

    @classmethod
    def create(cls, file: Path, content: dict[str, Any]) -> Journal:
        """Start a journal with a first record."""
        first = encode(content)
        write_atomic(file, first)
        return cls(file, len(first))

    def append(self, content: dict[str, Any], arrays: Sequence[Array] = ()) -> None:
        """Write a record to the disk.

        Raises
        ------
        OSError
            The disk is full or not writable. The record waits in memory and is written with the next one.
        """
        self._waiting.append(encode(content, arrays))
        data = b"".join(self._waiting)
        try:
            os.lseek(self._handle, self._length, os.SEEK_SET)
            _write_all(self._handle, data)
            os.fsync(self._handle)
        except OSError:
            os.ftruncate(self._handle, self._length)
            raise
        self._length += len(data)
        self._waiting.clear()

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
