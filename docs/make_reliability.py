"""Write the tables of ``reliability.md`` from the tests that show each row.

A test says what it tries and what happens with
``@pytest.mark.tried(area, what is tried, what happens)``.

Example:
    python docs/make_reliability.py
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmdet3d_medical.utils.files import write_text

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'reliability.md'
BEGIN, END = '<!-- tables -->\n', '<!-- end of tables -->\n'
AREAS = (
    'volumes', 'masks', 'annotations', 'DICOM', 'index', 'data set', 'configs', 'checkpoints',
    'predict', 'faults',
)  # fmt: skip


class Row(NamedTuple):
    """A line of a table, and the test that it rests on."""

    area: str
    tried: str
    happens: str
    test: str


def rows_in(path: Path) -> Iterator[Row]:
    """Rows that the tests of a file show, in their order.

    Raises:
        ValueError: If a mark does not hold three texts, or names another area.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.FunctionDef):
            for mark in filter(_is_mark, node.decorator_list):
                area, *texts = map(ast.literal_eval, mark.args)
                if area not in AREAS or len(texts) != 2:
                    raise ValueError(
                        f'{path}, line {mark.lineno}: expected one of {AREAS}, what '
                        'is tried and what happens'
                    )
                yield Row(area, *texts, f'{path.relative_to(ROOT).as_posix()}::{node.name}')


def _is_mark(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == 'pytest.mark.tried'


def tables() -> str:
    """A heading and a table for each area."""
    rows = [row for path in sorted(ROOT.glob('tests/**/test_*.py')) for row in rows_in(path)]
    parts = []
    for area in AREAS:
        lines = [f'| {row.tried} | {row.happens} |' for row in rows if row.area == area]
        if lines:
            parts.append(
                '\n'.join(
                    [
                        f'## {area[0].upper()}{area[1:]}',
                        '',
                        '| tried | what happens |',
                        '|---|---|',
                        *lines,
                    ]
                )
                + '\n'
            )
    return '\n'.join(parts)


def filled(page: str) -> str:
    """The page with today's tables."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f'{before}{BEGIN}\n{tables()}\n{END}{after}'


if __name__ == '__main__':
    write_text(PAGE, filled(PAGE.read_text(encoding='utf-8')))
