"""FROC results as text."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from .functional.froc import FROCResult


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
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    return capture.get()
