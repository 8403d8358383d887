"""The sharing graph as a picture (SVG): from datasets and their grants to who holds them.

Departments stand on the left as groups with their datasets, and one line for each grant; arrows
lead to the departments on the right, as wide as what went through: nothing overlaps, whatever the
number of grants. Pure; the text is escaped, the order is that of names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import log10
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from audit.reach import Sharing

ARROWS_MAX = 2_000
"""Limit of the grants in one picture; the least used beyond it are counted, not drawn."""

_WIDTH = 1240
_LEFT, _GROUP_WIDTH = 70, 520
_RIGHT, _BOX_WIDTH = 950, 230
_ROW, _BOX_ROW, _HEAD, _GAP, _TOP = 20, 16, 28, 18, 106
_WORDS_MAX = 62
"""Limit of the words about one grant, in characters: what fits beside its count."""

_COLOURS = ("#2f6f9f", "#b5651d", "#4d8a4d", "#8a4f9e", "#a63d40", "#2a8c82", "#7a6a1f", "#5661b3")
"""One for each department, in turn."""

_STYLE = """
text{font-family:system-ui,"Noto Sans","DejaVu Sans",sans-serif;font-size:12px;fill:#22303c}
.title{font-size:20px;font-weight:600}.note{font-size:11px;fill:#5c6b78}
.group{fill:#ffffff;stroke:#c9d2da}.name{font-weight:600;font-size:13px;fill:#ffffff}
.dataset{font-weight:600}.ended text,.ended{fill:#93a0ab}.count{font-variant-numeric:tabular-nums}
"""


@dataclass(frozen=True, slots=True)
class _Arrow:
    """One grant's line in a group and its way to its consumer. y: of the line's middle."""

    grant: dict[str, Any]
    stands: bool
    y: int


def draw(sharing: Sharing, *, title: str, note: str) -> bytes:
    """The picture as an SVG file. title, note: what it is of, for instance ledger and height."""
    colours = {
        name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(sharing.departments)
    }
    grants = sorted(
        sharing.grants.values(), key=lambda grant: (-grant["exchanges"], grant["grant_id"])
    )
    drawn = grants[:ARROWS_MAX]
    if len(grants) > len(drawn):
        note += f"; {len(grants) - len(drawn)} of the least used grants are not drawn"
    parts: list[str] = []
    arrows: list[_Arrow] = []
    places: dict[str, int] = {}
    y = _TOP
    for department in sharing.departments:
        group = _Group(sharing, department, [g for g in drawn if g["provider"] == department], y)
        if group.datasets or group.unshared:
            parts += group.shapes(colours[department])
            arrows += group.arrows
            places |= group.places
            y = group.bottom + _GAP
    boxes = _boxes(sharing, arrows, y - _GAP)
    height = max(y, max((box.bottom for box in boxes), default=0) + _GAP) + 56
    curves = [curve for box in boxes for curve in box.curves(colours)]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#f5f7f9"/>',
            f'<text class="title" x="{_LEFT}" y="40">{escape(title)}</text>',
            f'<text class="note" x="{_LEFT}" y="62">{escape(note)}</text>',
            *_derivations(sharing, places),
            _text(
                _LEFT, _TOP - 10, "who provides what, for which purpose and on which ground", "note"
            ),
            _text(_RIGHT, _TOP - 10, "who reads it", "note"),
            *curves,
            *parts,
            *(shape for box in boxes for shape in box.shapes(colours)),
            *_legend(height),
            "</svg>\n",
        )
    ).encode()


class _Group:
    """A department with its datasets and their grants, from `top` downwards.

    datasets: those that are shared or derived; unshared: how many others there are. places: the
    middle of each dataset's line.
    """

    def __init__(
        self, sharing: Sharing, department: str, grants: list[dict[str, Any]], top: int
    ) -> None:
        self._department, self._sharing, self._top = department, sharing, top
        published = [name for name in sharing.datasets if name.split("/")[0] == department]
        shared = {grant["dataset"] for grant in grants}
        self.datasets = [name for name in published if name in shared or sharing.origins(name)]
        self.unshared = len(published) - len(self.datasets)
        self.arrows: list[_Arrow] = []
        self.places: dict[str, int] = {}
        y = top + _HEAD + 6
        for name in self.datasets:
            self.places[name] = y + _ROW // 2
            y += _ROW
            of = [grant for grant in grants if grant["dataset"] == name]
            for grant in sorted(of, key=lambda each: (each["consumer"], -each["exchanges"])):
                stands = sharing.stands(grant["grant_id"])
                self.arrows.append(_Arrow(grant, stands, y + _ROW // 2))
                y += _ROW
            y += 6
        self.bottom = y + (_ROW if self.unshared else 0)

    def shapes(self, colour: str) -> Iterator[str]:
        """The group's box, names, and a line of words for each grant."""
        height = self.bottom - self._top
        yield (
            f'<rect class="group" x="{_LEFT}" y="{self._top}" width="{_GROUP_WIDTH}" '
            f'height="{height}" rx="6"/>'
        )
        yield _band(_LEFT, self._top, _GROUP_WIDTH, colour)
        yield _text(_LEFT + 12, self._top + 19, self._department, "name")
        total = sum(arrow.grant["exchanges"] for arrow in self.arrows)
        if total:
            words = _counted(total)
            yield _text(_LEFT + _GROUP_WIDTH - 12, self._top + 19, words, "name", anchor="end")
        for name, y in self.places.items():
            row = self._sharing.datasets[name]
            ended = " ended" if row["status"] != "offered" else ""
            words = f"{row['classification']}, {row['sharing']}"
            yield f'<circle cx="{_LEFT + 16}" cy="{y}" r="4" fill="{colour}"/>'
            yield _text(_LEFT + 28, y + 4, _cut(name.split("/")[1], 40), "dataset" + ended)
            yield _text(_LEFT + _GROUP_WIDTH - 12, y + 4, words, "note", anchor="end")
        if self.unshared:
            some = "dataset" if self.unshared == 1 else "datasets"
            words = f"{self.unshared} {some} that nobody asked for"
            yield _text(_LEFT + 28, self.bottom - _ROW // 2, words, "note")
        for arrow in self.arrows:
            ended = "" if arrow.stands else "ended"
            onward = ", onward" if arrow.grant["onward"] else ""
            words = (
                f"{_plain(arrow.grant['purpose'])} · {_plain(arrow.grant['legal_basis'])}{onward}"
            )
            yield _text(_LEFT + 44, arrow.y + 4, _cut(words, _WORDS_MAX), ended)
            count = f"{arrow.grant['exchanges']:,}" if arrow.stands else arrow.grant["status"]
            if not arrow.stands and arrow.grant["status"] == "approved":
                count = "ended"
            if not arrow.stands and arrow.grant["exchanges"]:
                count += f", {arrow.grant['exchanges']:,}"
            yield _text(
                _LEFT + _GROUP_WIDTH - 12, arrow.y + 4, count, f"count {ended}", anchor="end"
            )


@dataclass(slots=True)
class _Box:
    """A department that receives. top: of its box."""

    department: str
    arrows: list[_Arrow]
    top: int

    @property
    def bottom(self) -> int:
        """Its lower edge."""
        return self.top + _HEAD + 8 + _BOX_ROW * len(self.arrows)

    def shapes(self, colours: dict[str, str]) -> Iterator[str]:
        """The box and its name."""
        yield (
            f'<rect class="group" x="{_RIGHT}" y="{self.top}" width="{_BOX_WIDTH}" '
            f'height="{self.bottom - self.top}" rx="6"/>'
        )
        yield _band(_RIGHT, self.top, _BOX_WIDTH, colours[self.department])
        total = sum(arrow.grant["exchanges"] for arrow in self.arrows)
        yield _text(_RIGHT + 12, self.top + 19, _cut(self.department, 16), "name")
        yield _text(_RIGHT + _BOX_WIDTH - 12, self.top + 19, _counted(total), "name", anchor="end")
        for number, arrow in enumerate(self.arrows):
            words = _cut(arrow.grant["dataset"], 34)
            yield _text(_RIGHT + 12, self._middle(number) + 4, words, "note")

    def _middle(self, number: int) -> int:
        """Of the line on which an arrow ends."""
        return self.top + _HEAD + 4 + _BOX_ROW // 2 + _BOX_ROW * number

    def curves(self, colours: dict[str, str]) -> Iterator[str]:
        """An arrow for each grant, in the colour of its provider."""
        start = _LEFT + _GROUP_WIDTH
        for number, arrow in enumerate(self.arrows):
            grant = arrow.grant
            end = self._middle(number)
            width = 1.2 + 1.6 * log10(1 + grant["exchanges"])
            colour = colours[grant["provider"]] if arrow.stands else "#a9b4bd"
            dashes = "" if grant["exchanges"] else ' stroke-dasharray="5 4"'
            tip = f"{_RIGHT},{end} {_RIGHT - 9},{end - 4.5} {_RIGHT - 9},{end + 4.5}"
            told = (
                f"{grant['dataset']} to {grant['consumer']}: {grant['purpose']}, "
                f"{grant['status']}, {grant['exchanges']} exchanges, {grant['rows']} rows, "
                f"fields {grant['fields']}, grant {grant['grant_id']}"
            )
            yield (
                f"<g><title>{escape(told)}</title>"
                f'<path d="M{start},{arrow.y} C{start + 170},{arrow.y} {_RIGHT - 180},{end} '
                f'{_RIGHT - 8},{end}" fill="none" stroke="{colour}" stroke-width="{width:.1f}" '
                f'stroke-opacity="0.75"{dashes}/><polygon points="{tip}" fill="{colour}"/></g>'
            )


def _boxes(sharing: Sharing, arrows: list[_Arrow], bottom: int) -> list[_Box]:
    """Departments on the right, each near where its arrows come from, spread over the height."""
    to = {
        name: [arrow for arrow in arrows if arrow.grant["consumer"] == name]
        for name in sharing.departments
    }
    boxes = [_Box(name, found, 0) for name, found in to.items() if found]
    boxes.sort(key=lambda box: (sum(a.y for a in box.arrows) / len(box.arrows), box.department))
    free = bottom - _TOP - sum(box.bottom - box.top for box in boxes)
    gap = max(_GAP, free // (len(boxes) + 1))
    y = _TOP + (gap if gap > _GAP else 0)
    for box in boxes:
        box.top = y
        y = box.bottom + gap
    return boxes


def _derivations(sharing: Sharing, places: dict[str, int]) -> Iterator[str]:
    """On the left edge, an arc from each origin to what is derived from it."""
    for name in places:
        for grant_id in sharing.origins(name):
            origin = sharing.grants[grant_id]["dataset"]
            if origin not in places:
                continue
            start, end = places[origin], places[name]
            depth = min(62, 24 + abs(end - start) // 12)
            x = _LEFT - 1
            tip = f"{x},{end} {x - 8},{end - 4} {x - 8},{end + 4}"
            yield (
                f"<g><title>{escape(f'{name} is derived from {origin}, grant {grant_id}')}</title>"
                f'<path d="M{x},{start} C{x - depth},{start} {x - depth},{end} {x - 8},{end}" '
                f'fill="none" stroke="#6b3fa0" stroke-width="2" stroke-dasharray="2 3"/>'
                f'<polygon points="{tip}" fill="#6b3fa0"/></g>'
            )


def _legend(height: int) -> Iterator[str]:
    words = (
        "An arrow is a grant: as wide as the logarithm of its exchanges, dashed if never used, "
        "grey if it lets nothing through now. Dotted arcs lead to what is derived."
    )
    yield _text(_LEFT, height - 22, words, "note")


def _band(x: int, y: int, width: int, colour: str) -> str:
    """The coloured head of a box, round at the top alone."""
    return (
        f'<path d="M{x},{y + _HEAD} V{y + 6} Q{x},{y} {x + 6},{y} H{x + width - 6} '
        f'Q{x + width},{y} {x + width},{y + 6} V{y + _HEAD} Z" fill={quoteattr(colour)}/>'
    )


def _text(x: int, y: int, words: str, kind: str, *, anchor: str = "start") -> str:
    return (
        f'<text class={quoteattr(kind.strip() or "plain")} x="{x}" y="{y}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def _plain(term: str) -> str:
    """A vocabulary's term as words: dpv:ServiceProvision is "service provision"."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", term.split(":")[-1])
    return " ".join(word if word.isupper() else word.lower() for word in apart.split())


def _counted(exchanges: int) -> str:
    return f"{exchanges:,} exchange{'' if exchanges == 1 else 's'}"


def _cut(words: str, length_max: int) -> str:
    return words if len(words) <= length_max else words[: length_max - 1] + "…"
