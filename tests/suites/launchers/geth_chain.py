"""Reads the blocks out of a small geth data folder (Pebble in its oldest format: LevelDB tables and log) as RLP."""
import struct

import rlp


def uvarint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def unsnap(data):
    """Snappy's raw block format."""
    size, at = uvarint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        kind = tag & 3
        if kind == 0:
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                length = int.from_bytes(data[at:at + extra], "little")
                at += extra
            out += data[at:at + length + 1]
            at += length + 1
            continue
        if kind == 1:
            length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at]
            at += 1
        else:
            width = 2 if kind == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(data[at:at + width], "little")
            at += width
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


def block(data, offset, size):
    raw, kind = data[offset:offset + size], data[offset + size]
    return unsnap(raw) if kind == 1 else raw


def entries(raw):
    restarts = struct.unpack("<I", raw[-4:])[0]
    end, at, key = len(raw) - 4 - 4 * restarts, 0, b""
    while at < end:
        shared, at = uvarint(raw, at)
        fresh, at = uvarint(raw, at)
        size, at = uvarint(raw, at)
        key = key[:shared] + raw[at:at + fresh]
        at += fresh
        yield key, raw[at:at + size]
        at += size


def table(data):
    """(user key, sequence, kind, value) of every entry of a block-based table."""
    footer = data[-53:]
    _, at = uvarint(footer, 1)
    _, at = uvarint(footer, at)
    offset, at = uvarint(footer, at)
    size, _ = uvarint(footer, at)
    for _, handle in entries(block(data, offset, size)):
        start, at = uvarint(handle, 0)
        length, _ = uvarint(handle, at)
        for key, value in entries(block(data, start, length)):
            trailer = int.from_bytes(key[-8:], "little")
            yield key[:-8], trailer >> 8, trailer & 0xFF, value


def log(data):
    """The same for a write-ahead log."""
    at, record = 0, b""
    while at + 7 <= len(data):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        size, kind = struct.unpack("<HB", data[at + 4:at + 7])
        if kind == 0:
            break
        header = 11 if kind > 4 else 7
        if header == 11 and data[at + 7:at + 11] != data[7:11]:
            break  # the rest is of the log this file held before
        part = data[at + header:at + header + size]
        at += header + size
        kind = (kind - 1) % 4
        record = part if kind in (0, 1) else record + part
        if kind in (0, 3):
            yield from batch(record)


def batch(data):
    sequence, count = struct.unpack("<QI", data[:12])
    at = 12
    for index in range(count):
        kind = data[at]
        size, at = uvarint(data, at + 1)
        key, at = data[at:at + size], at + size
        value = b""
        if kind != 0:
            size, at = uvarint(data, at)
            value, at = data[at:at + size], at + size
        yield key, sequence + index, kind, value


def load(folder):
    found = {}
    for path in sorted(folder.iterdir()):
        read = {".sst": table, ".log": log}.get(path.suffix)
        for key, sequence, kind, value in read(path.read_bytes()) if read else ():
            if sequence >= found.get(key, (-1,))[0]:
                found[key] = (sequence, kind, value)
    return {key: value for key, (_, kind, value) in found.items() if kind == 1}

def chain_rlp(folder):
    """The canonical blocks after the genesis, one after the other."""
    db = load(folder)
    number, blocks = 1, []
    while block_hash := db.get(b"h" + number.to_bytes(8, "big") + b"n"):
        key = number.to_bytes(8, "big") + block_hash
        blocks.append(rlp.encode([rlp.decode(db[b"h" + key]), *rlp.decode(db[b"b" + key])]))
        number += 1
    return b"".join(blocks)
