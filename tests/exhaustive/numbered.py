"""Numbers for values, in the order in which they are met."""

from typing import Generic, TypeVar

V = TypeVar("V")


class Numbers(Generic[V]):
    """values[number]: the value."""

    def __init__(self) -> None:
        self.values: list[V] = []
        self._of: dict[V, int] = {}

    def of(self, value: V) -> int:
        """The value's number; a new one if it was never met."""
        number = self._of.get(value)
        if number is None:
            number = self._of[value] = len(self.values)
            self.values.append(value)
        return number
