"""Protocol buffers on the wire, as far as a Perfetto trace needs them.

A message is the concatenation of its fields; a field is a key (number and wire type) and a value:
a varint, eight bytes, or a length and that many bytes.  See "Encoding" in the documentation of
Protocol Buffers.
"""

from __future__ import annotations

_VARINT, _FIXED64, _BLOCK = 0, 1, 2
_BITS = 7
_MORE = 0x80
_MODULUS = 1 << 64


def varint(value: int) -> bytes:
    """Return an integer as a varint: seven bits a byte, the lowest first.

    A negative one is as two's complement in 64 bits, as ``int32`` and ``int64`` have it.
    """
    value %= _MODULUS
    out = bytearray()
    while value >= _MORE:
        out.append(value & (_MORE - 1) | _MORE)
        value >>= _BITS
    out.append(value)
    return bytes(out)


def _key(field: int, wire_type: int) -> bytes:
    return varint(field << 3 | wire_type)


def number(field: int, value: int) -> bytes:
    """Return a field that is an integer, a bool or an enum."""
    return _key(field, _VARINT) + varint(value)


def fixed64(field: int, value: int) -> bytes:
    """Return a field that is a ``fixed64``."""
    return _key(field, _FIXED64) + value.to_bytes(8, "little")


def block(field: int, content: bytes) -> bytes:
    """Return a field that is a message or bytes."""
    return _key(field, _BLOCK) + varint(len(content)) + content


def text(field: int, content: str) -> bytes:
    """Return a field that is a string."""
    return block(field, content.encode())
