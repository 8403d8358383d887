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

import re
from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import inspect

from ledger.errors import Malformed
from ledger.recent import Recent
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
    remembered: limit of the values that are kept by their bytes, so that a state value that is
    read again and again is decoded once. Values are immutable.
    """

    __slots__ = ("_bytes_max", "_decoder", "_find", "_known", "_what")

    def __init__(
        self, form: type[Value] | Any, *, what: str, bytes_max: int, remembered: int = 0
    ) -> None:
        self._decoder: msgspec.msgpack.Decoder[Value] = msgspec.msgpack.Decoder(form)
        self._what = what
        self._bytes_max = bytes_max
        self._find = _finder(inspect.type_info(form))
        self._known: Recent[bytes, Value] | None = Recent(remembered) if remembered else None

    def decode(self, data: bytes) -> Value:
        """The value that `data` spells.

        Raises Malformed if `data` is too long, is not this format, is a second spelling of it or
        contains text outside the rules of `ledger.text`.
        """
        if self._known is None:
            return self._decoded(data)
        known = self._known.get(data)
        if known is None:
            known = self._decoded(data)
            self._known.put(data, known)
        return known

    def reread(self, data: bytes) -> Value:
        """The value of bytes that `decode` has accepted before; nothing is checked again."""
        return self._decoder.decode(data)

    def _decoded(self, data: bytes) -> Value:
        if len(data) > self._bytes_max:
            raise Malformed(self._what, f"{len(data)} bytes, at most {self._bytes_max} allowed")
        try:
            value = self._decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(self._what, str(error)) from None
        if _ENCODER.encode(value) != data:
            raise Malformed(self._what, "not the one accepted spelling of its value")
        fault = None if self._find is None else self._find(value)
        if fault is not None:
            raise Malformed(self._what, fault)
        return value


_Finder: TypeAlias = Callable[[Any], str | None]
"""The first fault of any text within a decoded value of one type; None if there is none."""


def _finder(info: inspect.Type) -> _Finder | None:
    """Looks only where the format may hold a text; None if it holds none.

    A format is walked once, when its decoder is made, so that its values need not be.
    """
    match info:
        case inspect.StrType(pattern=pattern):
            return None if _is_plain(pattern) else text_fault
        case inspect.StructType():
            parts = [(field.name, _finder(field.type)) for field in info.fields]
            return _in_fields([(name, find) for name, find in parts if find is not None])
        case inspect.VarTupleType():
            return _in_items(_finder(info.item_type))
        case (
            inspect.IntType()
            | inspect.BytesType()
            | inspect.BoolType()
            | inspect.NoneType()
            | inspect.RawType()
            | inspect.LiteralType()
        ):
            return None
        case inspect.UnionType():
            found = [find for find in map(_finder, info.types) if find is not None]
            if len(found) == 1 and len(info.types) == 2 and info.includes_none:
                return _if_there(found[0])
            return _fault_of_texts if found else None
        case _:
            return _fault_of_texts


_PLAIN = re.compile(r"\\A(?:[^\W_]|[_\[\]{}),?:*+-]|\((?:\?:|(?!\?))|\\\.)*\\Z", re.ASCII)


def _is_plain(pattern: str | None) -> bool:
    """Whether a pattern lets through nothing that `ledger.text` forbids.

    True only of patterns that are bound at both ends and consist of ASCII letters, digits, classes
    of them without exceptions, and repetitions: then the text needs no second look.
    """
    return pattern is not None and _PLAIN.fullmatch(pattern) is not None


def _if_there(within: _Finder) -> _Finder:
    return lambda value: None if value is None else within(value)


def _in_fields(parts: list[tuple[str, _Finder]]) -> _Finder | None:
    def find(value: Any) -> str | None:
        for name, within in parts:
            fault = within(getattr(value, name))
            if fault is not None:
                return fault
        return None

    return find if parts else None


def _in_items(within: _Finder | None) -> _Finder | None:
    if within is None:
        return None
    wanted = within

    def find(value: Any) -> str | None:
        for item in value:
            fault = wanted(item)
            if fault is not None:
                return fault
        return None

    return find


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
