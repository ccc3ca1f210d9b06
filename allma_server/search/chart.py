"""Draw an evaluation as an SVG bar chart: one bar for each measure and stage."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from allma_server.types import Evaluation, StageScores

BAR, GAP, HEIGHT, LEFT, TOP = 22, 18, 220, 56, 64
COLOURS = ("#9aa5b1", "#6c8ebf", "#7fb3a7", "#2f6f9f", "#d07a2d", "#a3485b")
BEFORE_OPACITY = 0.45
"""Opacity of the bars of the earlier evaluation, which are drawn left of the new ones."""


@dataclass(frozen=True, slots=True)
class _Bar:
    value: float
    colour: str
    opacity: float
    label: str


def draw_chart(result: Evaluation) -> str:
    """Return the SVG text; an earlier evaluation is drawn beside the new one."""
    measures = {
        "hit@1": [s.first for s in result.stages],
        f"hit@{result.top_k}": [s.hit for s in result.stages],
        "MRR": [s.mrr for s in result.stages],
        f"nDCG@{result.top_k}": [s.ndcg for s in result.stages],
    }
    before = {s.stage: s for s in result.before.stages} if result.before else {}
    groups = [
        (name, list(_bars(values, result.stages, before, index)))
        for index, (name, values) in enumerate(measures.items())
    ]
    width = LEFT + sum(len(bars) * BAR + GAP for _, bars in groups) + GAP
    width = max(width, 420)
    size = f'width="{width}" height="{TOP + HEIGHT + 96}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" fill="#333">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        _text(LEFT, 22, f"{result.questions} questions, first {result.top_k} passages", size=14),
        _text(LEFT, 42, _settings(result)),
        *_grid(width),
    ]
    x = LEFT + GAP
    for name, bars in groups:
        lines.append(_text(x + len(bars) * BAR / 2, TOP + HEIGHT + 18, name, anchor="middle"))
        for bar in bars:
            lines += _draw_bar(bar, x)
            x += BAR
        x += GAP
    lines += _legend(result)
    return "\n".join([*lines, "</svg>", ""])


def _bars(
    values: Sequence[float],
    stages: Sequence[StageScores],
    before: dict[str, StageScores],
    measure: int,
) -> Iterator[_Bar]:
    for number, (value, stage) in enumerate(zip(values, stages, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        if (old := before.get(stage.stage)) is not None:
            earlier = (old.first, old.hit, old.mrr, old.ndcg)[measure]
            label = f"{stage.stage}, before: {earlier:.3f}"
            yield _Bar(earlier, colour, BEFORE_OPACITY, label)
        yield _Bar(value, colour, 1.0, f"{stage.stage}: {value:.3f}")


def _draw_bar(bar: _Bar, x: float) -> Iterator[str]:
    height = bar.value * HEIGHT
    y = TOP + HEIGHT - height
    title = f"<title>{escape(bar.label)}</title>"
    yield (
        f'<rect x="{x + 1}" y="{y:.1f}" width="{BAR - 2}" height="{height:.1f}" '
        f'fill="{bar.colour}" fill-opacity="{bar.opacity}">{title}</rect>'
    )
    yield _text(x + BAR / 2, y - 3, f"{bar.value:.2f}".removeprefix("0"), anchor="middle", size=9)


def _grid(width: int) -> Iterator[str]:
    for tenth in range(0, 11, 2):
        y = TOP + HEIGHT - HEIGHT * tenth / 10
        yield f'<line x1="{LEFT}" x2="{width - GAP}" y1="{y}" y2="{y}" stroke="#ddd"/>'
        yield _text(LEFT - 8, y + 4, f"{tenth / 10:.1f}", anchor="end")


def _legend(result: Evaluation) -> Iterator[str]:
    x, y = LEFT, TOP + HEIGHT + 40
    for number, stage in enumerate(result.stages):
        colour = COLOURS[number % len(COLOURS)]
        yield f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>'
        yield _text(x + 16, y + 10, stage.stage)
        x += 32 + 7 * len(stage.stage)
    if result.before:
        yield _text(LEFT, y + 32, f"pale bars: before, with {_settings(result.before)}")


def _settings(result: Evaluation) -> str:
    return ", ".join(f"{name} {value}" for name, value in result.settings.items())


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 11) -> str:
    return (
        f'<text x="{x}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'
    )
