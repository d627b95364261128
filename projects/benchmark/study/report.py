"""Tables and plots of a benchmark, and the page that shows them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from mmdet3d_medical.evaluation.functional import FP_RATES
from mmdet3d_medical.utils.files import replacing, write_text

from .data import read_data
from .results import Results
from .rows import RowScore
from .scores import BOOTSTRAPS, Score, score_name
from .table import Row, Table

Scores = Mapping[str, RowScore]  # by the names of a table's rows, in order
ABSENT = '-'
LABEL_WIDTH = 40  # characters in a line of a plot's labels


def markdown(table: Table, scores: Scores) -> str:
    """A table of scores, differences and cost, one of sensitivities, and the plot.

    Rows without any run are named below the tables.
    """
    absent = [name for name, score in scores.items() if not score.runs]
    scores = {name: score for name, score in scores.items() if score.runs}
    if not scores:
        return f'**{table.title}**\n\nNot run yet.\n'
    parts = [
        f'**{table.title}**',
        _grid(_comparison(table, scores)),
        _explanation(table, scores),
        f'Sensitivity at rates of false positives per {_unit(table)}, mean over seeds:',
        _grid(_sensitivities(table, scores)),
        f'![{_name(scores)} of each seed]({table.name}.png)',
    ]
    if absent:
        parts.append(f'Rows not run yet: {", ".join(f"`{name}`" for name in absent)}.')
    return '\n\n'.join(parts) + '\n'


def _grid(rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; the first row is its head. Columns without an entry are left out."""
    head, *rows = rows
    used = [number for number in range(len(head)) if any(row[number] for row in rows)]
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(f'| {" | ".join(line[number] for number in used)} |' for line in lines)


def _comparison(table: Table, scores: Scores) -> Iterator[list[str]]:
    yield [
        'row',
        *(f'seed {seed}' for seed in table.seeds),
        f'mean {_name(scores)}',
        'compared with',
        'difference',
        'gain',
        'reads',
        'paper',
        'steps',
        'minutes',
    ]
    for name, score in scores.items():
        row = table.rows[name]
        yield [
            row.label,
            *(_cpm_of_seed(score, seed) for seed in table.seeds),
            f'**{_number(score.cpm)}**',
            *_difference(table, row, score),
            '' if row.paper is None else f'{row.paper:.3f}',
            *_cost(score),
        ]


def _cpm_of_seed(score: RowScore, seed: int) -> str:
    if seed in score.runs and seed not in score.scored:
        return 'failed'
    return _number(score.scored[seed].cpm) if seed in score.scored else ABSENT


def _difference(table: Table, row: Row, score: RowScore) -> list[str]:
    """Baseline, difference with its interval, gain and verdict; empty without a baseline."""
    if row.baseline is None:
        return [''] * 4
    label, difference = table.rows[row.baseline].label, score.difference
    if difference is None:
        return [label, *[ABSENT] * 3]
    low, high = difference.ci95
    gain = ABSENT if score.gain is None else f'{100 * score.gain:+.1f} %'
    return [label, f'{difference.cpm:+.3f} [{low:+.3f}, {high:+.3f}]', gain, difference.verdict]


def _cost(score: RowScore) -> list[str]:
    """Steps and minutes of a seed; the minutes are a mean."""
    runs = [run for run in score.runs.values() if run.score is not None]
    if not runs:
        return [ABSENT, ABSENT]
    minutes = sum(run.seconds for run in runs) / len(runs) / 60
    return [f'{runs[0].steps:,}', f'{minutes:.1f}']


def _explanation(table: Table, scores: Scores) -> str:
    results, name = _results(scores), _name(scores)
    what = ''
    if results:
        scans, nodules = results[0].scans, results[0].nodules
        what = f'Scored on {scans} {table.scored_on} scans with {nodules} nodules. '
    if name != 'CPM':
        what += f'A run is scored by its mean {name} false positives per {_unit(table)}. '
    return (
        f'{what}In brackets the 95 % interval of the difference in mean {name}, by '
        f'{BOOTSTRAPS:,} joint bootstraps of scans and seeds; "not resolved" where it holds 0. '
        f'{ABSENT}: not run yet.'
    )


def _sensitivities(table: Table, scores: Scores) -> Iterator[list[str]]:
    rates = _rates(scores)
    yield ['row', *(f'{rate:g}' for rate in rates)]
    for name, score in scores.items():
        values = score.sensitivity if score.scored else [math.nan] * len(rates)
        yield [table.rows[name].label, *map(_number, values)]


def _results(scores: Scores) -> list[Score]:
    """Those of all runs that did not fail."""
    return [result for score in scores.values() for result in score.scored.values()]


def _rates(scores: Scores) -> tuple[float, ...]:
    """False positives at which all runs are scored."""
    return next((result.rates for result in _results(scores)), FP_RATES)


def _name(scores: Scores) -> str:
    """What the score of a run is called."""
    return score_name(_rates(scores))


def _number(value: float) -> str:
    return ABSENT if math.isnan(value) else f'{value:.3f}'


def _unit(table: Table) -> str:
    """What false positives are counted by."""
    return read_data(table.data).per if table.data.is_file() else 'scan'


def compute(results: Results) -> str:
    """How long all runs with a result were trained; one that two tables keep counts once."""
    devices: dict[str, set[tuple]] = {}
    for result in results.all():
        if 'failure' not in result:
            run = result['settings'], result['seed'], result['amp'], result['seconds']
            devices.setdefault(result.get('device', ''), set()).add(run)
    if not devices:
        return 'Not run yet.\n'
    return ''.join(
        f'{len(runs)} runs, {sum(run[-1] for run in runs) / 3600:.1f} hours in all, '
        f'{f"several at once on one {device}" if device else "each on one thread"}.\n'
        for device, runs in sorted(devices.items())
    )


def plot(table: Table, scores: Scores, path: Path) -> None:
    """Draw the score of each seed and the mean, by rows or, where the table says so, against ``x``;
    there the mean is of the seeds that all rows have.

    Args:
        table: The table.
        scores: Of its rows, at least one of them scored.
        path: Picture to write.
    """
    rows = [(table.rows[name], score) for name, score in scores.items() if score.scored]
    size = (6, 4) if table.x_label else (7, 1 + 0.45 * len(rows))
    figure = Figure(figsize=size, dpi=120, layout='constrained')
    axes = figure.subplots()
    dots = [[result.cpm for result in score.scored.values()] for _, score in rows]
    if table.x_label:
        places = [row.x for row, _ in rows]
        axes.plot(places, shared_means([score for _, score in rows]), '-')
        axes.plot(*_pairs(places, dots), 'o', alpha=0.6)
        label = f'{_name(scores)} (dots: seeds, line: mean of shared ones)'
        axes.set(xlabel=table.x_label, ylabel=label)
    else:
        places = range(len(rows), 0, -1)
        axes.plot([np.mean(group) for group in dots], places, '|', markersize=16, markeredgewidth=2)
        axes.plot(*_pairs(places, dots)[::-1], 'o', alpha=0.6)
        axes.set_yticks(places, [textwrap.fill(row.label, LABEL_WIDTH) for row, _ in rows])
        label = f'{_name(scores)} (dots: seeds, bars: means)'
        axes.set(xlabel=label, ylim=(0.4, len(rows) + 0.6))
    axes.grid(alpha=0.3)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert('RGB')
    with replacing(path) as file:  # 64 colors are enough for a plot, and take half the bytes
        picture.quantize(64, dither=Image.Dither.NONE).save(file, optimize=True)


def shared_means(scores: Sequence[RowScore]) -> list[float]:
    """Mean score of each row over the seeds that all rows have, so that a line through them shows
    no difference between seeds; NaN where they share none.
    """
    shared = set.intersection(*(set(score.scored) for score in scores))
    return [
        float(np.mean([score.scored[seed].cpm for seed in shared])) if shared else math.nan
        for score in scores
    ]


def _pairs(places: Iterable[float], values: Iterable[Sequence[float]]) -> tuple[list, list]:
    """Each value with the place of its group."""
    pairs = [(place, value) for place, group in zip(places, values, strict=True) for value in group]
    return [place for place, _ in pairs], [value for _, value in pairs]


def fill(page: Path, name: str, text: str) -> bool:
    """Put a text between ``<!-- name -->`` and ``<!-- end of name -->`` on a page.

    Returns:
        bool: Whether the page has such a place.
    """
    content = page.read_text(encoding='utf-8') if page.is_file() else ''
    before, begin, rest = content.partition(f'<!-- {name} -->\n')
    _, end, after = rest.partition(f'<!-- end of {name} -->\n')
    if not end:
        return False
    write_text(page, before + begin + text + end + after)
    return True
