"""The content of a trace as a hash: by parts of its users, so that parts can be hashed apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa

PART_USERS: Final = 256
"""Users of a part; the last part has what is left."""
DECIMALS: Final = 6
"""Fractions are hashed to so many decimals: the last bits of exp differ between processors."""


def parts_of(table: pa.Table) -> Iterator[pa.Table]:
    """The rows of the first ``PART_USERS`` users, those of the next, and so on."""
    user = table.column("user").to_numpy()
    begins = np.flatnonzero(np.diff(user, prepend=user[:1] - 1))
    for begin, end in pairwise([*begins[::PART_USERS].tolist(), len(user)]):
        yield table.slice(begin, end - begin)


def content_hash(table: pa.Table) -> str:
    """SHA-256 over the hashes of a trace's parts."""
    return joined_hash(part_hash(part) for part in parts_of(table))


def joined_hash(hashes: Iterable[str]) -> str:
    """SHA-256 over the hashes of parts, in order."""
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def part_hash(table: pa.Table) -> str:
    """SHA-256 over names and values of all columns, in order; storage does not count."""
    whole = hashlib.sha256()
    for name in table.column_names:
        column = table.column(name)
        whole.update(f"{name}:{len(column)};".encode())
        whole.update(hashlib.sha256(_bytes(column)).digest())
    return whole.hexdigest()


def _bytes(column: pa.ChunkedArray) -> bytes:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _named_bytes(column.unify_dictionaries().combine_chunks())
    if pa.types.is_fixed_size_binary(kind):
        return b"".join(_packed_bytes(chunk) for chunk in column.chunks)
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    values = column.to_numpy()
    if values.dtype.kind == "f":
        values = np.rint(values * 10.0**DECIMALS)
    return bytes(values.astype("<i8").tobytes())


def _packed_bytes(chunk: pa.FixedSizeBinaryArray) -> bytes:
    width: int = chunk.type.byte_width
    held = memoryview(chunk.buffers()[1])
    return bytes(held[chunk.offset * width : (chunk.offset + len(chunk)) * width])


def _named_bytes(column: pa.DictionaryArray) -> bytes:
    """The names in use, in alphabetical order, and which of them each row has."""
    names, numbers = column.dictionary.to_pylist(), column.indices.to_numpy()
    used = sorted({names[number] for number in np.unique(numbers)})
    place = {name: k for k, name in enumerate(used)}
    codes = np.asarray([place.get(name, -1) for name in names], "<i8")
    return "\n".join(used).encode() + bytes(codes[numbers].tobytes())
