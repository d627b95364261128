"""The report as a page of tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .rows import KEY, Row

TITLES = dict(
    networks='Training steps and inference, beside MONAI',
    focalmix='A step of FocalMix and the passes it consists of',
    norm='Group normalization',
    scan='A whole scan',
    resume='Exact resume',
    suite='Tests of `make test-gpu`',
)
NOTES = dict(
    networks='Median of calls that take turns. A step is forward, targets, losses and backward; '
    '`peak_mb` is of tensors beyond weights and inputs, 10^6 bytes.',
    focalmix='Forward and backward of all: the network alone, with the boxes of labeled patches.',
    scan='From voxels in memory to findings: lungs, resampling, network, merging. The first call '
    'chooses algorithms, compiles and captures.',
    resume='A training that goes on from its first checkpoint against one that was not stopped.',
)


def page(report: Mapping[str, Any]) -> str:
    """Markdown of a report: what it ran on, then a table for each part."""
    facts = [[name, value] for name, value in report['facts'].items()]
    parts = ['# GPU report\n', _grid(['', ''], facts)]
    for name, part in report['parts'].items():
        parts += [f'\n## {TITLES.get(name, name)}\n', *_note(name)]
        parts.append(f'{part["status"]}, {part["seconds"]:.0f} s.\n')
        if part['rows']:
            parts.append(table(part['rows']))
    return '\n'.join(parts) + '\n'


def _note(name: str) -> list[str]:
    return [f'{NOTES[name]}\n'] if name in NOTES else []


def table(rows: Iterable[Row]) -> str:
    """Rows as a table; a number that is missing is "-", and its reason is in the last column."""
    rows = list(rows)
    columns = [key for key in dict.fromkeys(key for row in rows for key in row)]
    columns = sorted((key for key in columns if key != KEY), key=lambda key: key == 'failed')
    return _grid(columns, [[_cell(row, key) for key in columns] for row in rows])


def _cell(row: Row, key: str) -> str:
    if key == 'failed':
        return str(row.get(key, '')).replace('|', '\\|')
    value = row.get(key)
    if value is None:
        return '-'
    return f'{value:.4g}' if isinstance(value, float) else str(value).replace('|', '\\|')


def _grid(head: list[str], rows: list[list]) -> str:
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(f'| {" | ".join(str(cell) for cell in line)} |' for line in lines)
