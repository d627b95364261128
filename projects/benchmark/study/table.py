"""Tables of a benchmark: rows of configs and options, each trained with several seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdet3d_medical.utils.errors import UsageError

from .files import check_keys, load_yaml

SETS = ('validation', 'test')
TABLE_KEYS = {'title', 'data', 'scored_on', 'seeds', 'amp', 'options', 'x_label', 'rows'}
TABLE_NEEDS = {'title', 'data', 'scored_on', 'seeds', 'rows'}
OWN_KEYS = {
    'config',
    'semi',
    'options',
    'start',
    'teachers',
}  # what is trained; a row with `same_as` has none of them
ROW_KEYS = {'name', 'label', 'same_as', 'baseline', 'paper', 'x'} | OWN_KEYS
FILE_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._+-]*')


@dataclass(frozen=True)
class Teachers:
    """Trained detectors that guess together.

    Attributes:
        setting: Of all of them.
        offsets: Their seeds less that of the run that they teach. Multiples of the data set's
            draws keep the labeled scans.
    """

    setting: Setting
    offsets: tuple[int, ...]


@dataclass(frozen=True)
class Setting:
    """What is trained, but for the seed.

    Attributes:
        table: Name of the table that defines it.
        name: Name of its row there.
        config: Config file, as the table spells it.
        semi: Fragments that make it semi-supervised.
        options: Values by dotted key that change the config.
        amp: Whether to train in mixed precision.
        start: What the training starts from, with the same seed; None: from random weights.
        teachers: Whose checkpoints the method's ``EnsembleTeacher`` takes, or None.
    """

    table: str
    name: str
    config: str
    semi: tuple[str, ...]
    options: Mapping[str, Any]
    amp: bool
    start: Setting | None
    teachers: Teachers | None = None


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        label: What readers see.
        setting: What is trained; of another row where both show the same runs.
        baseline: Name of the row that it is compared with, or None.
        paper: CPM that the paper reports, in [0, 1], or None.
        x: Where it stands in a plot against a number, or None.
    """

    label: str
    setting: Setting
    baseline: str | None
    paper: float | None
    x: float | None


@dataclass(frozen=True)
class Table:
    """Several rows, scored alike.

    Attributes:
        path: Its file, whose stem is the table's name.
        title: What it shows.
        data: File that defines the data set.
        scored_on: Which part of the data is scored, one of ``SETS``.
        seeds: Of the runs.
        rows: By name, in order.
        x_label: What the rows' ``x`` counts, '' if they are not plotted against a number.
    """

    path: Path
    title: str
    data: Path
    scored_on: str
    seeds: tuple[int, ...]
    rows: Mapping[str, Row]
    x_label: str

    @property
    def name(self) -> str:
        return self.path.stem


@dataclass(frozen=True)
class Run:
    """A setting with one seed."""

    setting: Setting
    seed: int

    @property
    def name(self) -> str:
        """Where its files lie, below a folder."""
        return f'{self.row}_seed{self.seed}'

    @property
    def row(self) -> str:
        """What all seeds of a row have in common."""
        return f'{self.setting.table}/{self.setting.name}'

    @property
    def start(self) -> Run | None:
        """The run from whose last checkpoint this one starts."""
        return Run(self.setting.start, self.seed) if self.setting.start else None

    @property
    def teachers(self) -> tuple[Run, ...]:
        """The runs whose last checkpoints guess together."""
        found = self.setting.teachers
        return tuple(Run(found.setting, self.seed + by) for by in found.offsets) if found else ()

    @property
    def needed(self) -> tuple[Run, ...]:
        """The runs that are trained before."""
        return (*[self.start] * (self.start is not None), *self.teachers)


def runs_of(table: Table, only: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Run]:
    """The runs that a table shows, one seed of all rows after the other.

    Args:
        table: The table.
        only: Names of rows; none means all.
        seeds: Some of the table's; none means all.

    Raises:
        UsageError: If the table has no such row or seed.
    """
    for what, asked, there in (('rows', only, table.rows), ('seeds', seeds, table.seeds)):
        unknown = sorted(set(asked) - set(there))
        if unknown:
            raise UsageError(f'{table.path} has no {what} {unknown}, it has {list(there)}')
    rows = [table.rows[name] for name in only] or table.rows.values()
    return [Run(row.setting, seed) for seed in seeds or table.seeds for row in rows]


def read_table(path: str | Path) -> Table:
    """Read a table file; ``phantoms/README.md`` describes what is in it.

    Raises:
        UsageError: Naming file and row, what was found and what was expected.
    """
    return _read(Path(path), ())


def _read(path: Path, readers: tuple[Path, ...]) -> Table:
    """Read a table for other tables that refer to it, one to the next."""
    content = load_yaml(path)
    check_keys(content, TABLE_KEYS, TABLE_NEEDS, str(path))
    _check_values(content, path)
    rows: dict[str, Row] = {}
    table = Table(
        path,
        content['title'],
        path.parent / content['data'],
        content['scored_on'],
        tuple(content['seeds']),
        rows,
        content.get('x_label', ''),
    )
    for number, entry in enumerate(content['rows'], 1):
        where = f'{path}: row {number}'
        check_keys(entry, ROW_KEYS, {'name'}, where)
        where = f'{where} ({entry["name"]})'
        _check_row(entry, rows, where)
        setting = _setting(entry, content, table, readers, where)
        rows[entry['name']] = Row(
            str(entry.get('label', entry['name'])),
            setting,
            entry.get('baseline'),
            entry.get('paper'),
            entry.get('x'),
        )
    for name, row in rows.items():
        if row.baseline is not None and row.baseline not in rows:
            raise UsageError(
                f'{path}: row {name} has the baseline {row.baseline!r}, but the rows '
                f'are {list(rows)}'
            )
        if table.x_label and row.x is None:
            raise UsageError(f'{path} has an x_label, so row {name} needs an x')
    return table


def _check_values(content: dict, path: Path) -> None:
    seeds, rows = content['seeds'], content['rows']
    whole = isinstance(seeds, list) and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(f'{path}: seeds must be different integers of at least 0, found {seeds!r}')
    if content['scored_on'] not in SETS:
        raise UsageError(f'{path}: scored_on must be one of {SETS}, found {content["scored_on"]!r}')
    if not isinstance(rows, list) or not rows:
        raise UsageError(f'{path}: rows must be a list of at least one row, found {rows!r}')
    _check_options(content.get('options', {}), str(path))


def _check_row(entry: dict, rows: Mapping[str, Row], where: str) -> None:
    name = entry['name']
    if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
        raise UsageError(
            f'{where}: name becomes a file name, so letters, digits, ".", "_", "+" '
            f'and "-" are expected, found {name!r}'
        )
    if name in rows:
        raise UsageError(f'{where}: another row has this name')
    if 'same_as' in entry and OWN_KEYS & set(entry):
        raise UsageError(
            f'{where}: a row with same_as shows the runs of another row, so it '
            f'has no {sorted(OWN_KEYS & set(entry))} of its own'
        )
    if 'same_as' not in entry and 'config' not in entry:
        raise UsageError(f'{where}: expected a config, or same_as with the name of another row')
    semi = entry.get('semi', [])
    if not isinstance(semi, list) or not all(isinstance(name, str) for name in semi):
        raise UsageError(f'{where}: semi must be a list of fragments, found {semi!r}')
    for key in ('paper', 'x'):
        if not isinstance(entry.get(key), (int, float, type(None))):
            raise UsageError(f'{where}: {key} must be a number, found {entry[key]!r}')
    _check_options(entry.get('options', {}), where)


def _check_options(options: Any, where: str) -> None:
    if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
        raise UsageError(f'{where}: options must be values by dotted key, found {options!r}')
    for key, value in options.items():
        if isinstance(value, dict):
            raise UsageError(
                f'{where}: option {key} must be one value or a list, found {value}: '
                f'write {key}.{next(iter(value), "key")} and so on'
            )


def _setting(
    entry: dict, content: dict, table: Table, readers: tuple[Path, ...], where: str
) -> Setting:
    if 'same_as' in entry:
        return _refer(entry['same_as'], table, readers, f'{where}: same_as')
    start = entry.get('start')
    return Setting(
        table=table.name,
        name=entry['name'],
        config=str(entry['config']),
        semi=tuple(entry.get('semi', ())),
        options={**content.get('options', {}), **entry.get('options', {})},
        amp=bool(content.get('amp', False)),
        start=_refer(start, table, readers, f'{where}: start') if start is not None else None,
        teachers=_teachers(entry.get('teachers'), table, readers, f'{where}: teachers'),
    )


def _teachers(entry: Any, table: Table, readers: Sequence[Path], where: str) -> Teachers | None:
    if entry is None:
        return None
    check_keys(entry, {'row', 'offsets'}, {'row', 'offsets'}, where)
    offsets = entry['offsets']
    whole = isinstance(offsets, list) and all(type(by) is int and by >= 0 for by in offsets)
    if not whole or not offsets or len(set(offsets)) < len(offsets):
        raise UsageError(
            f'{where}: offsets must be different integers of at least 0, found {offsets!r}'
        )
    return Teachers(_refer(entry['row'], table, readers, where), tuple(offsets))


def _refer(reference: Any, table: Table, readers: Sequence[Path], where: str) -> Setting:
    """The setting of ``row`` above in this table, or of ``table/row`` in a file beside it."""
    other, _, name = str(reference).rpartition('/')
    rows = table.rows
    if other:
        path = table.path.with_name(f'{other}.yml')
        if path in (*readers, table.path):
            raise UsageError(f'{where}: {path} refers to this table in turn')
        found = _read(path, (*readers, table.path))
        for key in ('data', 'scored_on'):
            if getattr(found, key) != getattr(table, key):
                raise UsageError(
                    f'{where}: {path} has {key} {getattr(found, key)}, this table '
                    f'{getattr(table, key)}'
                )
        rows = found.rows
    if name not in rows:
        raise UsageError(
            f'{where} names {reference!r}, expected one of the rows '
            f'{"of " + other if other else "above"}, {list(rows)}, or table/row'
        )
    return rows[name].setting
