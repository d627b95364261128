"""The tests that ``make test-gpu`` runs."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .rows import KEY, Row, Settings

ROOT = Path(__file__).resolve().parents[3]
MAKEFILE = ROOT / 'Makefile'
OUTCOME = '(?P<outcome>PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)'
NAME = r'(?P<name>tests/\S+?\.py::.+?)'
ALONE = re.compile(rf'{NAME} +{OUTCOME}')
BY_WORKER = re.compile(rf'\[gw\d+\] \[ *\d+%\] {OUTCOME} +{NAME} *$')


def rows(settings: Settings) -> Iterator[Row]:
    """Outcomes by file, told as the tests end, then each failure."""
    files = files_of(MAKEFILE.read_text())
    for file in files[:1] if settings.shrink else files:
        yield from _of_file(settings, file)


def files_of(makefile: str) -> list[str]:
    """What the rule for ``test-gpu`` runs."""
    rule = re.search(r'^test-gpu:.*\n(?:\t.*\n)+', makefile, re.MULTILINE)
    return re.findall(r'tests/\S+\.py', rule[0])


def _of_file(settings: Settings, file: str) -> Iterator[Row]:
    env = {**os.environ, 'OMP_NUM_THREADS': '1'}
    if not settings.on_gpu:
        env['CUDA_VISIBLE_DEVICES'] = ''
    several = settings.on_gpu and importlib.util.find_spec('xdist') is not None
    command = [sys.executable, '-m', 'pytest', '-v', '--color=no', '--tb=line', file]
    process = subprocess.Popen(
        [*command, *['-n', '4'] * several],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    counts, failed, last = Counter(), [], ''
    for line in process.stdout:
        print(line, end='', flush=True)
        last = line.strip() or last
        found = outcome_of(line)
        if found:
            counts[found[1]] += 1
            if found[1] in ('FAILED', 'ERROR'):
                failed.append(found[0])
            yield {KEY: file, 'tests': file, **_columns(counts), 'failed': f'not after {found[0]}'}
    row = {KEY: file, 'tests': file, **_columns(counts)}
    if process.wait() > 1 or not counts:
        row['failed'] = f'pytest ended with status {process.returncode}: {last[:200]}'
    yield row
    for name in dict.fromkeys(failed):
        yield {'tests': name, 'failed': 'the test failed'}


def _columns(counts: Counter) -> Row:
    kinds = 'PASSED', 'FAILED', 'ERROR', 'SKIPPED'
    return {f'tests {kind.lower()}': counts[kind] for kind in kinds}


def outcome_of(line: str) -> tuple[str, str] | None:
    """Name and outcome of a test that pytest -v tells of, with or without several workers."""
    found = BY_WORKER.match(line) or ALONE.match(line)
    return (found['name'], found['outcome']) if found else None
