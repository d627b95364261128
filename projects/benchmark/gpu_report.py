"""Measure on a GPU what this project says about one, in under ten minutes, and write it down.

Leaves OUT/report.json, OUT/report.md, OUT/rows.jsonl and OUT/log.txt. Every part runs in a process
of its own, within a time limit, and its rows are written as they come: what fails or takes too long
is a row with its reason, and nothing before it is lost. ``--device cpu --shrink`` tries all of it
in minutes where there is no GPU.

Example:
    python projects/benchmark/gpu_report.py --out work_dirs/gpu_report
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gpu.page import page
from gpu.rows import KEY, Row, Settings, reason

from mmdet3d_medical.cli.arguments import positive
from mmdet3d_medical.cli.errors import run_tool
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import write_text

# Seconds that each part may take, the most wanted first.
LIMITS = dict(networks=180, focalmix=50, norm=50, scan=120, resume=90, suite=200)
LEAST_SECONDS = 15.0  # with less left a part is not begun
GRACE_SECONDS = 10.0  # from being asked to end to being ended


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('work_dirs/gpu_report'),
        metavar='DIR',
        help='where the report goes (default: work_dirs/gpu_report)',
    )
    parser.add_argument(
        '--only', nargs='+', choices=LIMITS, default=list(LIMITS), metavar='PART', help='parts'
    )
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cuda', help='default: cuda')
    parser.add_argument(
        '--shrink', action='store_true', help='tiny sizes and one repetition, to try it'
    )
    parser.add_argument(
        '--minutes', type=positive, default=9.5, help='for all parts together (default: 9.5)'
    )
    parser.add_argument('--part', choices=LIMITS, help=argparse.SUPPRESS)  # of a process
    return parser.parse_args()


def run_part(name: str, settings: Settings, out: Path) -> None:
    """Measure a part, in this process, and add its rows to the file as they come."""
    import torch

    from mmdet3d_medical.utils import register_all_modules

    torch.set_num_threads(1 if settings.shrink else min(os.cpu_count(), 8))
    register_all_modules()
    with rows_file(out).open('a') as file:

        def write(row: Row) -> None:
            print(json.dumps(dict(part=name, row=row)), file=file, flush=True)

        try:
            for row in importlib.import_module(f'gpu.{name}').rows(settings):
                write(row)
        except Exception as error:
            write(dict(failed=reason(error)))
            raise


def rows_file(out: Path) -> Path:
    return out / 'rows.jsonl'


def rows_of(name: str, out: Path) -> list[Row]:
    """What a part has written so far, each key once."""
    lines = rows_file(out).read_text().splitlines() if rows_file(out).is_file() else []
    rows: dict[Any, Row] = {}
    for number, line in enumerate(map(json.loads, lines)):
        if line['part'] == name:
            rows[line['row'].get(KEY, number)] = line['row']
    return list(rows.values())


def launch_part(name: str, args: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Run a part in a process of its own; its status, seconds and rows."""
    start = time.monotonic()
    if seconds < LEAST_SECONDS:
        return dict(status='not begun: no time was left', seconds=0.0, rows=[])
    command = [sys.executable, __file__, '--part', name, '--out', str(args.out)]
    command += ['--device', args.device, *['--shrink'] * args.shrink]
    with (args.out / 'log.txt').open('a') as log:
        print(f'\n--- {name}', file=log, flush=True)
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        status = _wait(process, seconds)
    took = time.monotonic() - start
    return dict(status=status, seconds=took, rows=rows_of(name, args.out))


def _wait(process: subprocess.Popen, seconds: float) -> str:
    """How a process ended; one that takes too long is ended with all that it started."""
    try:
        code = process.wait(seconds)
        return 'done' if code == 0 else f'ended with status {code}, see log.txt'
    except subprocess.TimeoutExpired:
        return f'stopped after {seconds:.0f} s'
    finally:
        for kind in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, kind)
                process.wait(GRACE_SECONDS)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


def facts_of(args: argparse.Namespace) -> dict[str, Any]:
    """What the report was made on."""
    import torch

    facts = dict(
        device=torch.cuda.get_device_name() if args.device == 'cuda' else 'cpu',
        torch=torch.__version__,
        python=platform.python_version(),
        cores=os.cpu_count(),
        sizes='tiny (--shrink): no measurement' if args.shrink else 'full',
        convolutions_in_TF32=torch.backends.cudnn.allow_tf32,
    )
    if args.device == 'cuda':
        facts |= dict(cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version())
    return facts


def write_report(out: Path, report: dict[str, Any]) -> None:
    write_text(out / 'report.json', json.dumps(report, indent=2) + '\n')
    write_text(out / 'report.md', page(report))


def main() -> None:
    args = parse_args()
    if args.part:
        run_part(args.part, Settings(args.device, args.shrink), args.out)
        return
    import torch

    if args.device == 'cuda' and not torch.cuda.is_available():
        raise UsageError(
            'torch finds no GPU: give --device cpu --shrink to try the report without one'
        )
    args.out.mkdir(parents=True, exist_ok=True)
    for path in (rows_file(args.out), args.out / 'log.txt'):
        path.unlink(missing_ok=True)
    report = dict(facts=facts_of(args), parts={})
    end = time.monotonic() + 60 * args.minutes
    for name in LIMITS:
        if name in args.only:
            print(f'{name} ...', flush=True)
            seconds = min(LIMITS[name], end - time.monotonic())
            report['parts'][name] = launch_part(name, args, seconds)
            write_report(args.out, report)
            print(f'{name}: {report["parts"][name]["status"]}', flush=True)
    print(f'report: {args.out / "report.md"}')


if __name__ == '__main__':
    run_tool(main)
