"""Plain values: what a format's bytes say, without the names of its fields.

An array is a tuple, bytes are bytes, text, integers and nil are themselves. In JSON an array is a
list and bytes are `{"bytes": hex}`, so that nothing has to be guessed from a string.
"""

from typing import Any, TypeAlias

import msgspec

from ledger.codec import encode

Plain: TypeAlias = Any
"""None, int, str, bytes, or a tuple of those."""

Vector: TypeAlias = dict[str, Any]
"""One vector: name, format, description, hex, and what else its format has to say."""


class Verbatim(bytes):
    """Bytes that `spell` copies as they are, in place of a value's one accepted spelling."""


def plain_of(value: Any) -> Plain:
    """The plain value of a format, or of what may stand in one; a tag comes first."""
    if isinstance(value, msgspec.Raw):
        return plain_of(msgspec.msgpack.decode(value))
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        fields = tuple(plain_of(getattr(value, name)) for name in value.__struct_fields__)
        return fields if tag is None else (tag, *fields)
    if isinstance(value, tuple | list):
        return tuple(plain_of(part) for part in value)
    return value


def to_json(value: Plain) -> Any:
    """A plain value as it stands in the golden file."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, tuple):
        return [to_json(part) for part in value]
    return value


def from_json(value: Any) -> Plain:
    """The plain value that `to_json` wrote."""
    if isinstance(value, dict):
        return bytes.fromhex(value["bytes"])
    if isinstance(value, list):
        return tuple(from_json(part) for part in value)
    return value


def spell(value: Plain) -> bytes:
    """MessagePack of a plain value, with every `Verbatim` in it copied."""
    if isinstance(value, Verbatim):
        return bytes(value)
    if isinstance(value, tuple):
        return array_head(len(value)) + b"".join(map(spell, value))
    return encode(value)


def array_head(length: int) -> bytes:
    """The one accepted spelling of an array's length, without its content."""
    return encode((None,) * length)[: -length or None]


def replace_first(value: Plain, kind: type, respell: Any) -> Plain:
    """`value` with its first part of that kind put through `respell`; None if there is none."""
    if type(value) is kind:
        return respell(value)
    if isinstance(value, tuple):
        for place, part in enumerate(value):
            changed = None if part is None else replace_first(part, kind, respell)
            if changed is not None:
                return (*value[:place], changed, *value[place + 1 :])
    return None


def vector(name: str, form: str, description: str, data: bytes, **fields: Any) -> Vector:
    """One vector; bytes among the fields are written as hex, plain values as `to_json`."""
    made: Vector = {"name": name, "format": form, "description": description}
    for key, value in fields.items():
        made[key] = value.hex() if isinstance(value, bytes) else value
    made["hex"] = data.hex()
    return made


def packed(name: str, form: str, description: str, value: Any, **fields: Any) -> Vector:
    """A vector of a MessagePack format, with the plain value that its bytes say."""
    plain = to_json(plain_of(value))
    return vector(name, form, description, encode(value), value=plain, **fields)
