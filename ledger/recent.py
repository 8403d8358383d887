"""What was used last, within a limit: the one cache of the cores.

Two generations: what is found or put goes into the young one; when that is full it becomes the old
one, and what was old and not used since is forgotten. Each operation costs one or two look-ups, and
what is used again and again stays.
"""

from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Values by key, at most `limit` of them (≥ 2); no value may be None.

    Invariant: each of both generations has at most limit / 2 values.
    """

    __slots__ = ("_generation_max", "_old", "_young")

    def __init__(self, limit: int) -> None:
        self._generation_max = limit // 2
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        """The value at `key`, None if there is none or it was forgotten."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Remembers a value as just used."""
        young = self._young
        if len(young) >= self._generation_max:
            self._old, self._young = young, {key: value}
        else:
            young[key] = value
