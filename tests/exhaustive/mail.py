"""Sets of letters as the bits of an integer, and what a node in some state makes of each letter."""

from collections import defaultdict
from typing import Any

from exhaustive.states import KNOWN, LEFT_BEHIND, States, Step, bits, is_spent, rank, sameness


class Mail:
    """For each state of a node, its letters in three heaps, as far as they were met.

    spent: can never lead to anything any more. moving: change the state. talking: are answered,
    and change nothing.
    """

    def __init__(self, states: States) -> None:
        self._states = states
        bounds = states.bounds
        self._fixed_answers = not (bounds.late_writes or bounds.compactions)
        self._spent: defaultdict[int, int] = defaultdict(int)
        self._moving: defaultdict[int, int] = defaultdict(int)
        self._talking: defaultdict[int, int] = defaultdict(int)
        self._sorted_up_to: defaultdict[int, int] = defaultdict(int)
        self._met: defaultdict[int, int] = defaultdict(int)
        self._answers: dict[tuple[int, int], int] = {}
        self._classes: defaultdict[int, dict[Any, int]] = defaultdict(dict)
        self._classed_up_to: defaultdict[int, int] = defaultdict(int)
        self._thinned: dict[tuple[int, int], int] = {}
        self._images: list[dict[int, int]] = [{} for _ in states.images]

    def spent(self, state: int) -> int:
        """The letters to this node that are worth nothing any more."""
        first, last = self._sorted_up_to[state], len(self._states.letters)
        if first < last:
            facts, to = self._states.facts[state], self._states.place[state]
            for letter in range(first, last):
                if self._states.receiver[letter] == to and is_spent(
                    facts, self._states.letters[letter][2]
                ):
                    self._spent[state] |= 1 << letter
            self._sorted_up_to[state] = last
        return self._spent[state]

    def moving(self, state: int, mail: int) -> int:
        """Of `mail`, the letters that change this node's state."""
        self._sort(state, mail)
        return self._moving[state] & mail

    def answers(self, state: int, mail: int) -> int:
        """What this node answers to letters that do not change its state."""
        self._sort(state, mail)
        heard = self._talking[state] & mail
        if not heard:
            return 0
        known = self._answers.get((state, heard))
        if known is None:
            known = 0
            for letter in bits(heard):
                known |= self.arrived(state, letter).letters
            self._answers[(state, heard)] = known
        return known

    def arrived(self, state: int, letter: int) -> Step:
        """What a letter makes of a node whose writes stay as they are, if one is under way."""
        late = self._states.facts[state].writing
        return self._states.step(state, letter, late=late)

    def thinned(self, nodes: tuple[int, int, int], mail: int) -> int:
        """One letter for all that lead to the same from now on."""
        letters_to = self._states.letters_to
        kept = 0
        for place, state in enumerate(nodes):
            heap = mail & letters_to[place]
            known = self._thinned.get((state, heap))
            if known is None:
                known = self._thinned[(state, heap)] = self._thin(state, heap)
            kept |= known
        return kept

    def _thin(self, state: int, heap: int) -> int:
        self._classify(state)
        leader = self._states.facts[state].leader
        for (worth, sender, _), letters in self._classes[state].items():
            alike = heap & letters
            if worth == KNOWN and sender != leader:
                continue
            if alike & (alike - 1):
                least = min(bits(alike), key=lambda each: rank(self._states.letters[each][2]))
                heap &= ~alike | 1 << least
        return heap

    def _classify(self, state: int) -> None:
        first, last = self._classed_up_to[state], len(self._states.letters)
        self._classed_up_to[state] = last
        facts, to = self._states.facts[state], self._states.place[state]
        for letter in range(first, last):
            if self._states.receiver[letter] == to:
                sender, _, message = self._states.letters[letter]
                same = sameness(facts, message, sender, self._states.histories)
                if same is not None and (same[0] == LEFT_BEHIND or self._fixed_answers):
                    classes = self._classes[state]
                    classes[same] = classes.get(same, 0) | 1 << letter

    def classes(self, state: int) -> dict[Any, list[int]]:
        """The letters to a node that lead to the same from this state on."""
        self._classify(state)
        return {same: bits(letters) for same, letters in self._classes[state].items()}

    def _sort(self, state: int, mail: int) -> None:
        new = mail & self._states.letters_to[self._states.place[state]] & ~self._met[state]
        if not new:
            return
        for letter in bits(new):
            step = self.arrived(state, letter)
            if step.state != state:
                self._moving[state] |= 1 << letter
            elif step.letters:
                self._talking[state] |= 1 << letter
        self._met[state] |= new

    def image(self, mail: int, renaming: int) -> int:
        """The letters with every name exchanged."""
        if not renaming:
            return mail
        known = self._images[renaming].get(mail)
        if known is None:
            images = self._states.letter_images
            known = 0
            for letter in bits(mail):
                known |= 1 << images[letter][renaming]
            self._images[renaming][mail] = known
        return known
