"""FROC results as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from .functional.difference import Difference
from .functional.errors import SizeScore
from .functional.froc import FROCResult
from .functional.operating_points import OperatingPoint


def froc_table(results: Mapping[str, FROCResult]) -> str:
    """A table with one row for each result and, after bootstrapping, one for its interval.

    Args:
        results: By name, for example of the class; all at the same rates.
    """
    rates = next(iter(results.values())).fp_rates
    columns = ['FP/scan', *(f'{rate:g}' for rate in rates), 'CPM', 'tp', 'fn', 'fp', 'scans']
    table = Table(*columns)
    for name, result in results.items():
        scores = result.to_dict()
        values = [*scores['sensitivity'].values(), scores['cpm']]
        counts = [str(scores[key]) for key in ('tp', 'fn', 'fp', 'scans')]
        table.add_row(name, *(f'{value:.3f}' for value in values), *counts)
        if scores['ci95']:
            keys = [*scores['sensitivity'], 'cpm']
            table.add_row('95 % CI', *('{:.3f}\n{:.3f}'.format(*scores['ci95'][k]) for k in keys))
    return _text(table)


def comparison_table(
    results: Mapping[str, FROCResult], differences: Mapping[str, Difference]
) -> str:
    """A table with one row for each result, side by side.

    Args:
        results: By name, all at the same rates.
        differences: From the first result, of the others.
    """
    rates = next(iter(results.values())).fp_rates
    table = Table()
    table.add_column('FP/scan', overflow='fold')  # long names take lines, numbers stay whole
    for column in (*(f'{rate:g}' for rate in rates), 'CPM', 'minus the first'):
        table.add_column(column, no_wrap=True)
    for name, result in results.items():
        scores = result.to_dict()
        cells = [f'{value:.3f}' for value in scores['sensitivity'].values()]
        cells.append(f'{scores["cpm"]:.3f}' + _ends(scores['ci95'].get('cpm'), '.3f'))
        if name in differences:
            difference = differences[name]
            change = f'{difference.cpm:+.3f}' + _ends(difference.ci95, '+.3f')
            cells.append(f'{change}\n{difference.verdict}'.rstrip())
        table.add_row(name, *cells)
    return _text(table)


def size_table(scores: Mapping[str, Mapping[str, SizeScore]], fp_rates: Sequence[float]) -> str:
    """A table with one row for each nodule size of each result.

    Args:
        scores: By name of the result, then by size in mm.
        fp_rates: Rates of the sensitivities.
    """
    columns = ['nodule size, mm', *(f'{rate:g}' for rate in fp_rates), 'CPM', 'tp', 'nodules']
    table = Table(*columns)
    for name, groups in scores.items():
        for group, score in groups.items():
            label = f'{name} {group}' if len(scores) > 1 else group
            values = (f'{value:.3f}' for value in (*score.sensitivity, score.cpm))
            table.add_row(label, *values, str(score.tp), str(score.nodules))
        table.add_section()
    return _text(table)


def operating_table(points: Mapping[str, Sequence[OperatingPoint]]) -> str:
    """A table with one row for each score of each result.

    Args:
        points: By name of the result.
    """
    columns = ['score from', 'tp', 'fp', 'sensitivity', 'precision', 'FP/scan']
    table = Table(*columns)
    for name, rows in points.items():
        for point in rows:
            label = f'{name} {point.score:g}' if len(points) > 1 else f'{point.score:g}'
            precision = '-' if point.precision is None else f'{point.precision:.3f}'
            table.add_row(
                label,
                str(point.tp),
                str(point.fp),
                f'{point.sensitivity:.3f}',
                precision,
                f'{point.fp_per_scan:.3f}',
            )
        table.add_section()
    return _text(table)


def _ends(ends: Sequence[float] | None, format_: str) -> str:
    return f' [{ends[0]:{format_}}, {ends[1]:{format_}}]' if ends else ''


def _text(table: Table) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    return capture.get()
