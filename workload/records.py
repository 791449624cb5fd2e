"""TFRecord files and the examples in them, read without TensorFlow: to look at data costs no import of it."""

import contextlib
import gzip
import struct
import zlib
from typing import List, NamedTuple, Optional

from workload.entries import shown
from workload.errors import UsageError

IMAGE, LABEL = "image/encoded", "image/class/label"
_LONGEST = 1 << 31  # bytes of a record: a protocol buffer cannot be longer
_HEADER = 12  # bytes before a record: its length (8) and that one's checksum (4); after it is its own checksum (4)
_OTHERS = {
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"PK": "a zip archive",
    b"PAR1": "a Parquet file",
}


class Example(NamedTuple):
    """A record of an image: its bytes, its label as the file has it, and which features the record has."""

    image: Optional[bytes]
    label: Optional[int]
    features: List[str]


def compression(path):
    """How a file of records is compressed, as TensorFlow calls it: "", "GZIP" or "ZLIB".

    Raises:
        UsageError: it is empty, is no TFRecord file, or cannot be read.
    """
    with _readable(path), open(path, "rb") as file:
        head = file.read(_HEADER)
    if _length(head) is not None:
        return ""
    starts = {"": head}
    for kind in ("GZIP", "ZLIB") if head else ():
        with contextlib.suppress(OSError, EOFError, zlib.error), _uncompressed(path, kind) as file:
            starts[kind] = file.read(_HEADER)
            if _length(starts[kind]) is not None:
                return kind
    if b"" in starts.values():
        raise UsageError("%s is empty; copy it anew, or write the files anew without it" % shown(path))
    for magic, kind in _OTHERS.items():
        if head.startswith(magic):
            raise UsageError("%s is %s; make TFRecords of it, as they are or with GZIP or ZLIB" % (shown(path), kind))
    raise UsageError("%s is no TFRecord file (it begins with %r)" % (shown(path), head[:8]))


def count(path):
    """Number of records; of an uncompressed file from their length fields alone.

    Raises:
        UsageError: it is damaged, is no TFRecord file, or cannot be read.
    """
    return sum(1 for _ in _walk(path, skip=True))


def each(path):
    """The content of every record.

    Raises:
        UsageError: it is damaged, is no TFRecord file, or cannot be read.
    """
    return _walk(path, skip=False)


def _walk(path, skip):
    kind = compression(path)
    number = 0
    with _readable(path), _uncompressed(path, kind) as file:
        while True:
            header = file.read(_HEADER)
            if not header:
                return
            length = _length(header) if len(header) == _HEADER else 0
            if length is None:
                raise UsageError("%s is damaged at record %d; copy it anew" % (shown(path), number))
            content = None
            if skip:
                file.seek(length, 1)
            else:
                content = file.read(length)
            if len(header) < _HEADER or (not skip and len(content) < length) or len(file.read(4)) < 4:
                raise UsageError("%s ends in the middle of a record; copy it anew" % shown(path))
            yield content
            number += 1


@contextlib.contextmanager
def _readable(path):
    try:
        yield
    except (EOFError, zlib.error) as error:
        raise UsageError("%s is damaged; copy it anew: %s" % (shown(path), error)) from error
    except OSError as error:  # also gzip's own, which has no number
        raise UsageError("%s cannot be read: %s" % (shown(path), error.strerror or error)) from error


def _uncompressed(path, kind):
    if kind == "GZIP":
        return gzip.open(path, "rb")
    return _Inflated(path) if kind == "ZLIB" else open(path, "rb")  # noqa: SIM115 - closed by the caller


class _Inflated(object):
    """A ZLIB file read from its start on."""

    def __init__(self, path):
        self._file = open(path, "rb")
        self._inflate, self._ready = zlib.decompressobj(), b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def read(self, size):
        """So many bytes, fewer at the end."""
        parts, missing = [self._ready[:size]], size - len(self._ready)
        self._ready = self._ready[size:]
        while missing > 0:
            compressed = self._inflate.unconsumed_tail or self._file.read(1 << 16)
            part = self._inflate.decompress(compressed, 1 << 20)
            if not compressed and not part:
                if not self._inflate.eof:
                    raise EOFError("its end is missing")
                break
            parts.append(part[:missing])
            self._ready = part[missing:]
            missing -= len(part)
        return b"".join(parts)

    def seek(self, size, _):
        """Forward by so many bytes."""
        while size > 0:
            done = len(self.read(min(size, 1 << 20)))
            if not done:
                return
            size -= done


def _length(header):
    """The length in a record's header, None when its checksum is another."""
    if len(header) < _HEADER:
        return None
    length, checksum = struct.unpack("<QI", header)
    return length if length < _LONGEST and _masked(_crc32c(header[:8])) == checksum else None


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC_TABLE = _crc_table()


def _crc32c(content):
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _masked(crc):
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def example(record):
    """The Example in a record's content.

    Raises:
        ValueError: it is no ``tf.train.Example``.
    """
    features = {}
    for container in _messages(memoryview(record), 1):
        for entry in _messages(container, 1):
            parts = dict(_fields(entry))
            features[_bytes(parts.get(1, b"")).decode("utf-8")] = parts.get(2, memoryview(b""))
    return Example(_one(_bytes_list(features.get(IMAGE))), _one(_int64_list(features.get(LABEL))), sorted(features))


def _one(values):
    return values[0] if len(values) == 1 else None


def _bytes_list(feature):
    lists = _messages(feature, 1) if feature is not None else []
    return [_bytes(value) for values in lists for value in _messages(values, 1)]


def _int64_list(feature):
    """Numbers one by one, or packed."""
    numbers = []
    for values in _messages(feature, 3) if feature is not None else []:
        for field, value in _fields(values):
            if field == 1 and isinstance(value, int):
                numbers.append(value)
            elif field == 1:
                at = 0
                while at < len(value):
                    number, at = _varint(value, at)
                    numbers.append(number)
    return [number - (1 << 64) if number >> 63 else number for number in numbers]


def _messages(message, field_number):
    values = [value for field, value in _fields(message) if field == field_number]
    if any(isinstance(value, int) for value in values):
        raise ValueError("not an Example")
    return values


def _bytes(value):
    if isinstance(value, int):
        raise ValueError("not an Example")
    return bytes(value)


def _fields(message):
    """``(number, value)`` of each field of a protocol buffer: an int, or a view of the bytes."""
    if isinstance(message, int):
        raise ValueError("not an Example")
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(message, at)
        else:
            size, at = (8, at) if kind == 1 else (4, at) if kind == 5 else _varint(message, at)
            if kind not in (1, 2, 5) or at + size > len(message):
                raise ValueError("not an Example")
            value, at = message[at : at + size], at + size
        yield number, value


def _varint(message, at):
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError("not an Example")
