"""What an event file for TensorBoard says, read by its format: length, checksums and an event."""

import struct
from collections import defaultdict
from pathlib import Path

from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

Curve = list[tuple[int, float]]


def curves(folder: Path) -> dict[str, Curve]:
    """All points of all event files in a folder, by name, in the order of writing."""
    found: dict[str, Curve] = defaultdict(list)
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for record in _records(path.read_bytes()):
            event = Event.FromString(record)
            for value in event.summary.value:
                found[value.tag].append((event.step, value.simple_value))
    return dict(found)


def _records(content: bytes) -> list[bytes]:
    """Records of the file: https://www.tensorflow.org/tutorials/load_data/tfrecord."""
    found, at = [], 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        record = content[at + 12 : at + 12 + length]
        (checksum,) = struct.unpack_from("<I", content, at + 12 + length)
        assert checksum == _masked(crc32c(record))
        found.append(record)
        at += 16 + length
    return found


def _masked(checksum: int) -> int:
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
