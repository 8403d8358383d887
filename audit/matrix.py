"""The sharing graph of many departments as a picture (SVG): who reads from whom, and how much.

A row for each department that provides, a column for each that reads, the busiest first; a cell is
all grants between the two, the darker the more went through. Where arrows would cross each other by
the hundred, this still fits on a screen. Pure; the text is escaped, the order is that of numbers
and then names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log10
from xml.sax.saxutils import escape

from audit.reach import Sharing

GRANTS_MAX = 60
"""Beyond so many grants a picture of each of them is a poster, and this one is drawn."""

_CELL = 26
_LEFT, _TOP, _MARGIN = 210, 210, 90
_FAINTEST = 0.18
"""Opacity of a cell with one exchange; that of the busiest is 1."""

_STYLE = """
text{font-family:system-ui,"Noto Sans","DejaVu Sans",sans-serif;font-size:12px;fill:#22303c}
.title{font-size:20px;font-weight:600}.note{font-size:11px;fill:#5c6b78}
.in{font-size:9px;text-anchor:middle}.light{fill:#ffffff}.end{text-anchor:end}
"""


@dataclass(slots=True)
class _Cell:
    """All grants by which one department reads from another. standing: those in force."""

    grants: int = 0
    standing: int = 0
    exchanges: int = 0


def draw_matrix(sharing: Sharing, *, title: str, note: str) -> bytes:
    """The picture as an SVG file. title, note: what it is of, for instance ledger and height."""
    cells: dict[tuple[str, str], _Cell] = {}
    for grant_id, grant in sharing.grants.items():
        cell = cells.setdefault((grant["provider"], grant["consumer"]), _Cell())
        cell.grants += 1
        cell.standing += sharing.stands(grant_id)
        cell.exchanges += grant["exchanges"]
    rows, columns = (_ordered(cells, side) for side in (0, 1))
    most = max((cell.exchanges for cell in cells.values()), default=0)
    width = max(_LEFT + _CELL * len(columns) + _MARGIN, 760)
    height = _TOP + _CELL * len(rows) + _MARGIN
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style>",
            f'<rect width="{width}" height="{height}" fill="#f5f7f9"/>',
            f'<text class="title" x="24" y="40">{escape(title)}</text>',
            f'<text class="note" x="24" y="62">{escape(note)}</text>',
            f'<text class="note end" x="{_LEFT - 10}" y="{_TOP - 10}">provides ↓  reads →</text>',
            *_heads(rows, columns),
            *(
                line
                for (provider, consumer), cell in sorted(cells.items())
                for line in _shape(
                    cell,
                    f"{provider} to {consumer}",
                    x=_LEFT + _CELL * list(columns).index(consumer),
                    y=_TOP + _CELL * list(rows).index(provider),
                    most=most,
                )
            ),
            f'<text class="note" x="24" y="{height - 24}">A number counts exchanges, the darker '
            "the more; an empty frame: granted, never used; grey: no grant lets anything "
            "through now.</text>",
            "</svg>\n",
        )
    ).encode()


def _ordered(cells: dict[tuple[str, str], _Cell], side: int) -> dict[str, int]:
    """Departments on one side with all their exchanges, the busiest first."""
    totals: dict[str, int] = {}
    for pair, cell in cells.items():
        totals[pair[side]] = totals.get(pair[side], 0) + cell.exchanges
    return dict(sorted(totals.items(), key=lambda total: (-total[1], total[0])))


def _heads(rows: dict[str, int], columns: dict[str, int]) -> Iterator[str]:
    """Names and totals of rows and columns, and a band over every second row."""
    right, bottom = _LEFT + _CELL * len(columns), _TOP + _CELL * len(rows)
    for number, (name, total) in enumerate(rows.items()):
        y = _TOP + _CELL * number
        shade = "#ffffff" if number % 2 else "#eef2f5"
        yield f'<rect x="{_LEFT}" y="{y}" width="{right - _LEFT}" height="{_CELL}" fill="{shade}"/>'
        yield f'<text class="end" x="{_LEFT - 10}" y="{y + 17}">{escape(name)}</text>'
        yield f'<text class="note" x="{right + 10}" y="{y + 17}">{_short(total)}</text>'
    for number, (name, total) in enumerate(columns.items()):
        x = _LEFT + _CELL * number + _CELL // 2
        turned = f'transform="translate({x + 4},{_TOP - 8}) rotate(-60)"'
        yield f"<text {turned}>{escape(name)}</text>"
        yield f'<text class="note in" x="{x}" y="{bottom + 16}">{_short(total)}</text>'


def _shape(cell: _Cell, between: str, *, x: int, y: int, most: int) -> Iterator[str]:
    """A cell with its count. most: exchanges in the busiest one."""
    told = f"{between}: {cell.grants} grants, {cell.standing} in force, {cell.exchanges} exchanges"
    size = _CELL - 4
    box = f'<rect x="{x + 2}" y="{y + 2}" width="{size}" height="{size}" rx="3"'
    colour = "#2f6f9f" if cell.standing else "#93a0ab"
    depth = 0.0
    if cell.exchanges:
        depth = _FAINTEST + (1 - _FAINTEST) * log10(cell.exchanges) / max(1.0, log10(most))
    yield f"<g><title>{escape(told)}</title>"
    yield f'{box} fill="{colour}" fill-opacity="{depth:.2f}" stroke="{colour}"/>'
    if cell.exchanges:
        light = " light" if depth > 0.55 else ""
        middle = x + _CELL // 2
        yield f'<text class="in{light}" x="{middle}" y="{y + 16}">{_short(cell.exchanges)}</text>'
    yield "</g>"


def _short(count: int) -> str:
    """At most four characters: 950, 1.2k, 48k, 3.1M."""
    for unit, size in (("", 1), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)):
        if count < 10 * size and size > 1:
            return f"{count * 10 // size / 10:.1f}{unit}"
        if count < 1_000 * size:
            return f"{count // size}{unit}"
    return f"{count:.0e}"
