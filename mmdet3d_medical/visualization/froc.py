"""FROC curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mmdet3d_medical.evaluation.functional.froc import FROCResult
from mmdet3d_medical.utils.files import replacing


def plot_froc(results: Mapping[str, FROCResult], path: str | Path) -> None:
    """Draw sensitivity against false positives per scan, with bootstrap bands where there are any.

    Args:
        results: By name, all at the same rates; the names become the legend.
        path: Image file to write.
    """
    figure = Figure(figsize=(6, 4.5), layout='constrained')
    axes = figure.subplots()
    for name, result in results.items():
        _draw(axes, name, result)
    rates = next(iter(results.values())).fp_rates
    axes.set_xscale('log', base=2)
    axes.set_xticks(rates, [_fraction(rate) for rate in rates])
    axes.set(xlim=(min(rates), max(rates)), ylim=(0, 1.01))
    axes.set(xlabel='False positives per scan', ylabel='Sensitivity')
    axes.grid(alpha=0.3)
    axes.legend(loc='lower right')
    with replacing(path) as file:
        figure.savefig(file, dpi=150)


def _draw(axes, name: str, result: FROCResult) -> None:
    rates, low, high = result.band
    low_cpm, high_cpm = result.to_dict()['ci95'].get('cpm', (None, None))
    interval = f' [{low_cpm:.3f}, {high_cpm:.3f}]' if low_cpm is not None else ''
    grid = np.geomspace(min(result.fp_rates), max(result.fp_rates), 500)
    line = axes.plot(
        grid, np.interp(grid, *result.curve), label=f'{name}: CPM {result.cpm:.3f}{interval}'
    )[0]
    axes.plot(result.fp_rates, result.sensitivity, 'o', color=line.get_color(), markersize=4)
    if len(rates):
        axes.fill_between(rates, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def _fraction(rate: float) -> str:
    return f'1/{1 / rate:g}' if rate < 1 else f'{rate:g}'
