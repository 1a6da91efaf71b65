"""Where the kinds of contact stand on the map, and the ways that the stretches between them take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]
Edge = tuple[int, int]

WIDTH, HEIGHT = 178.0, 48.0
"""Of a box."""
ACROSS, DOWN = 256.0, 66.0
"""From one column, and one row, to the next."""
LANE = 14.0
"""Height of a way that passes between boxes."""
MUCH, ONE_WAY = 0.15, 0.5
"""Share of what leaves or enters a kind, and dependency, from which a stretch bears the layout."""
FEW = 1.6
"""Stretches that bear the layout, per kind, besides those that must be there."""
ROUND = 26.0
"""How far a stretch from a kind to itself, or up a column, reaches out."""


@dataclass(frozen=True)
class Layout:
    """Boxes and ways, in units of the drawing.

    `center` is by kind; `ways` by stretch: the points of a path whose tangents are horizontal.
    """

    width: float
    height: float
    center: dict[int, Point]
    ways: dict[Edge, str]
    middle: dict[Edge, Point] = field(default_factory=dict)
    """A point on each way, for what is written beside it."""


def lay_out(kinds: int, bearing: Sequence[Edge], others: Sequence[Edge], marked: Collection[Edge]) -> Layout:
    """Place the kinds in columns from left to right, and lead the stretches between the boxes.

    The columns, and the order in each that crosses least, are the layered layout of Sugiyama, Tagawa and Toda
    (1981), "Methods for visual understanding of hierarchical system structures".

    Args:
        kinds: how many there are; those without a stretch stand below the others.
        bearing: the stretches that the layout rests on, and that keep clear of the boxes, the heaviest
            first; one that closes a circle of heavier ones runs backwards.
        others: more of them, which go straight.
        marked: where these are is on top.
    """
    center, bends, width, height = _place(kinds, sorted(_forward(bearing)), {k for e in marked for k in e})
    ports = _ports(center, [*bearing, *others], bends)
    ways, middle = {}, {}
    for edge in (*bearing, *others):
        points = _points(edge, center, bends, ports)
        ways[edge] = _path(points)
        middle[edge] = _middle(points)
    return Layout(width, height, center, ways, middle)


def choose(
    kinds: int, volume: Mapping[Edge, int], always: Sequence[Edge], most: int
) -> tuple[list[Edge], list[Edge]]:
    """Return the stretches that the map rests on, the busiest first, and others, those that tell most first.

    It rests on those that must be there, and on those that lead clearly one way and are much of what
    leaves one kind or enters the other; a kind that has none of these hangs on its busiest one. What goes to
    and fro alike, as contacts do that happen to follow each other, comes last. Source of the measure of
    direction: Weijters and van der Aalst (2003), "Rediscovering workflow models from event-based data
    using Little Thumb".
    """
    leaves, enters = [0] * kinds, [0] * kinds
    for (a, b), n in volume.items():
        leaves[a] += n
        enters[b] += n

    def back(edge: Edge) -> int:
        return 0 if edge[0] == edge[1] else volume.get((edge[1], edge[0]), 0)

    def bears(edge: Edge) -> bool:
        n = volume[edge]
        much = n >= MUCH * leaves[edge[0]] or n >= MUCH * enters[edge[1]]
        return edge[0] != edge[1] and much and n - back(edge) >= ONE_WAY * (n + back(edge) + 1)

    ranked = sorted(volume, key=lambda e: (-volume[e], e))
    bearing = {e for e in always if e in volume} | set([e for e in ranked if bears(e)][: int(FEW * kinds)])
    held = {k for a, b in bearing if a != b for k in (a, b)}
    for edge in ranked:
        if edge[0] != edge[1] and not held.issuperset(edge):
            bearing.add(edge)
            held.update(edge)
    others = sorted(
        (e for e in volume if e not in bearing), key=lambda e: (back(e) - volume[e], -volume[e], e)
    )
    return [e for e in ranked if e in bearing], others[: max(0, most - len(bearing))]


def _forward(shown: Sequence[Edge]) -> set[Edge]:
    """Return each pair of kinds once, in the direction that closes no circle with heavier ones."""
    onward: dict[int, set[int]] = defaultdict(set)
    found: set[Edge] = set()
    for a, b in shown:
        if a == b or (a, b) in found or (b, a) in found:
            continue
        low, high = (b, a) if _reaches(onward, b, a) else (a, b)
        onward[low].add(high)
        found.add((low, high))
    return found


def _reaches(onward: Mapping[int, set[int]], start: int, end: int) -> bool:
    seen, rest = {start}, [start]
    while rest:
        here = rest.pop()
        if here == end:
            return True
        new = onward.get(here, set()) - seen
        seen |= new
        rest += new
    return False


def _place(
    kinds: int, forward: Sequence[Edge], marked: Collection[int]
) -> tuple[dict[int, Point], dict[Edge, list[Point]], float, float]:
    """Return the centres of the boxes, the bends of each way, and the size of the drawing."""
    center: dict[int, Point] = {}
    bends: dict[Edge, list[Point]] = {}
    width, height = 0.0, 0.0
    for positions, edges in _layered(kinds, forward, marked):
        columns: dict[float, list[tuple[float, int]]] = defaultdict(list)
        for vertex, (across, down) in positions:
            columns[down].append((across, vertex))
        place = _rows(columns, kinds, height)
        center |= {v: p for v, p in place.items() if v < kinds}
        onward: dict[int, list[int]] = defaultdict(list)
        for a, b in edges:
            onward[a].append(b)
        for a in [v for v in place if v < kinds]:
            for b in onward[a]:
                chain = [a, b]
                while chain[-1] >= kinds:
                    chain.append(onward[chain[-1]][0])
                inner = [place[v] for v in chain[1:-1]]
                bends[a, chain[-1]] = inner
        width = max(width, max(x for x, _ in place.values()) + ACROSS / 2)
        height = max(y for _, y in place.values()) + DOWN
    alone = [k for k in range(kinds) if k not in center]
    per_row = max(1, int(max(width, 4 * ACROSS) // ACROSS))
    for n, kind in enumerate(alone):
        center[kind] = (ACROSS / 2 + n % per_row * ACROSS, height + DOWN / 2 + n // per_row * DOWN)
    if alone:
        height += DOWN * (1 + (len(alone) - 1) // per_row)
        width = max(width, min(len(alone), per_row) * ACROSS)
    return center, bends, max(width, ACROSS), max(height, DOWN)


def _layered(
    kinds: int, forward: Sequence[Edge], marked: Collection[int]
) -> list[tuple[list[tuple[int, Point]], list[Edge]]]:
    """Return the parts of the graph that hang together, each with positions and edges with their bends.

    Bends are vertices with numbers above those of the kinds. Parts with a marked kind come first.
    """
    if not forward:
        return []
    from fast_sugiyama import from_edges

    names = sorted({v for edge in forward for v in edge})
    place = {v: n for n, v in enumerate(names)}
    found = from_edges(
        [(place[a], place[b]) for a, b in forward], vertex_spacing=DOWN, dummy_size=LANE, dummy_vertices=True
    )
    beyond = kinds

    def named(vertex: int | str) -> int:
        v = int(vertex)
        return names[v] if v < len(names) else beyond + v

    parts = []
    for positions, _, _, edges in found:
        parts.append(
            (
                [(named(v), (float(x), float(y))) for v, (x, y) in positions],
                sorted((named(a), named(b)) for a, b in edges or ()),
            )
        )

    def order(part: tuple[list[tuple[int, Point]], list[Edge]]) -> tuple[bool, int, int]:
        vertices = [v for v, _ in part[0]]
        return not any(v in marked for v in vertices), -len(vertices), min(vertices)

    return sorted(parts, key=order)


def _rows(columns: Mapping[float, list[tuple[float, int]]], kinds: int, top: float) -> dict[int, Point]:
    """Return where the vertices of a part stand: its layers are columns, and nothing in one overlaps."""
    place: dict[int, Point] = {}
    lowest = min(across for column in columns.values() for across, _ in column)
    for n, down in enumerate(sorted(columns, reverse=True)):
        y = -1e9
        for across, vertex in sorted(columns[down]):
            size = DOWN if vertex < kinds else LANE
            y = max(across - lowest, y + size / 2)
            place[vertex] = (ACROSS / 2 + n * ACROSS, y)
            y += size / 2
    shift = top + DOWN / 2 - min(y for _, y in place.values())
    return {v: (x, y + shift) for v, (x, y) in place.items()}


def _ports(
    center: Mapping[int, Point], shown: Sequence[Edge], bends: Mapping[Edge, list[Point]]
) -> dict[tuple[Edge, int], float]:
    """Return how far above or below the middle of its box each way begins (0) and ends (1)."""
    sides: dict[tuple[int, bool], list[tuple[float, Edge, int]]] = defaultdict(list)
    for a, b in shown:
        if a == b:
            continue
        right = center[a][0] < center[b][0] or (center[a][0] == center[b][0])
        inner = bends.get((a, b)) or list(reversed(bends.get((b, a), [])))
        first, last = (inner[0], inner[-1]) if inner else (center[b], center[a])
        sides[a, right].append((first[1], (a, b), 0))
        same = center[a][0] == center[b][0]
        sides[b, same or not right].append((last[1], (a, b), 1))
    found = {}
    for ways in sides.values():
        ways.sort()
        step = min(9.0, (HEIGHT - 12) / max(len(ways) - 1, 1))
        for n, (_, edge, end) in enumerate(ways):
            found[edge, end] = (n - (len(ways) - 1) / 2) * step
    return found


def _points(
    edge: Edge,
    center: Mapping[int, Point],
    bends: Mapping[Edge, list[Point]],
    ports: Mapping[tuple[Edge, int], float],
) -> list[Point]:
    """Return the points of a way; of one within a column, five that go round its right side."""
    a, b = edge
    (ax, ay), (bx, by) = center[a], center[b]
    if a == b:
        x, top = ax + WIDTH / 2, ay - HEIGHT / 2
        return [(ax + WIDTH / 4, top), (ax + WIDTH / 4, top - ROUND), (x - 8, top - ROUND), (x - 8, top)]
    ay, by = ay + ports[edge, 0], by + ports[edge, 1]
    if ax == bx:
        out = ax + WIDTH / 2
        return [(out, ay), (out + ROUND, (ay + by) / 2), (out, by)]
    side = WIDTH / 2 if ax < bx else -WIDTH / 2
    # both directions of a pair share the bends, a little apart
    apart = 4.5 if ax < bx else -4.5
    inner = bends.get(edge) or list(reversed(bends.get((b, a), [])))
    level = [
        (x + d, y + apart) for x, y in inner for d in (-side, side)
    ]  # straight past the boxes of a column
    return [(ax + side, ay), *level, (bx - side, by)]


def _path(points: Sequence[Point]) -> str:
    """Return an SVG path through points, smooth, level at each of them."""
    (x, y), rest = points[0], points[1:]
    parts = [f"M{x:.1f} {y:.1f}"]
    if len(points) == 4 and points[0][0] == points[1][0]:  # from a kind to itself: over its box
        (x1, y1), (x2, y2), (x3, y3) = rest
        return f"M{x:.1f} {y:.1f}C{x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f} {x3:.1f} {y3:.1f}"
    if len(points) == 3 and points[0][0] == points[2][0]:  # up or down a column
        (bend, _), (x3, y3) = rest
        reach = bend + ROUND
        return f"M{x:.1f} {y:.1f}C{reach:.1f} {y:.1f} {reach:.1f} {y3:.1f} {x3:.1f} {y3:.1f}"
    for nx, ny in rest:
        pull = (nx - x) / 2
        parts.append(f"C{x + pull:.1f} {y:.1f} {nx - pull:.1f} {ny:.1f} {nx:.1f} {ny:.1f}")
        x, y = nx, ny
    return "".join(parts)


def _middle(points: Sequence[Point]) -> Point:
    if len(points) == 4 and points[0][0] == points[1][0]:
        return (points[0][0] + points[3][0]) / 2, points[1][1] + 4
    if len(points) == 3 and points[0][0] == points[2][0]:
        return points[1]
    k = (len(points) - 1) // 2
    (x, y), (nx, ny) = points[k], points[k + 1]
    return (x + nx) / 2, (y + ny) / 2
