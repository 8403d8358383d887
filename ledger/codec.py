"""One spelling per value: MessagePack, accepted only in the form that we would write.

Every MessagePack decoder accepts several spellings of one value (a long form of a small integer,
say), so two different byte strings could carry one record and two hashes. Bytes are therefore
accepted only if `encode(decode(bytes)) == bytes`, and hashes are over the bytes received.

All formats are frozen `msgspec` structs written as arrays, tagged where several may stand in one
place; unknown fields, wrong types and text outside `ledger.text` are refused. There are no maps
and no floats in any format, so no order and no rounding can differ.

`Decoder` decodes one format. A field of type `msgspec.Raw` is passed through unread: whoever reads
it decodes those bytes with a Decoder of their own and so checks their spelling.
"""

from typing import Any, Generic, TypeVar

import msgspec

from ledger.errors import Malformed
from ledger.text import text_fault

Value = TypeVar("Value")

_ENCODER = msgspec.msgpack.Encoder()


class Format(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of every format: an immutable array of fields, in the order of their definition."""


def encode(value: Any) -> bytes:
    """The one accepted spelling of `value` (a Format, or what may stand in one)."""
    return _ENCODER.encode(value)


class Decoder(Generic[Value]):
    """Decodes the bytes of one format, or says what is wrong with them.

    what: the format's name as a person knows it, used in the error ("record", "block header").
    bytes_max: longer input is refused before it is looked at, in bytes.
    """

    __slots__ = ("_bytes_max", "_decoder", "_what")

    def __init__(self, form: type[Value] | Any, *, what: str, bytes_max: int) -> None:
        self._decoder: msgspec.msgpack.Decoder[Value] = msgspec.msgpack.Decoder(form)
        self._what = what
        self._bytes_max = bytes_max

    def decode(self, data: bytes) -> Value:
        """The value that `data` spells.

        Raises Malformed if `data` is too long, is not this format, is a second spelling of it or
        contains text outside the rules of `ledger.text`.
        """
        if len(data) > self._bytes_max:
            raise Malformed(self._what, f"{len(data)} bytes, at most {self._bytes_max} allowed")
        try:
            value = self._decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(self._what, str(error)) from None
        if _ENCODER.encode(value) != data:
            raise Malformed(self._what, "not the one accepted spelling of its value")
        fault = _fault_of_texts(value)
        if fault is not None:
            raise Malformed(self._what, fault)
        return value


def _fault_of_texts(value: object) -> str | None:
    """The first fault of any text within a decoded value; the depth is bounded by its format."""
    if isinstance(value, str):
        return text_fault(value)
    if isinstance(value, msgspec.Struct):
        parts: Any = (getattr(value, field) for field in value.__struct_fields__)
    elif isinstance(value, tuple):
        parts = value
    else:
        return None
    for part in parts:
        if type(part) is bytes or type(part) is int:
            continue
        fault = _fault_of_texts(part)
        if fault is not None:
            return fault
    return None
