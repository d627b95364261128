"""What ``mmdet3d-medical predict`` does."""

import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from mmdet3d_medical.datasets.converters.report import one_line, write_table
from mmdet3d_medical.datasets.converters.volumes import note_of_links
from mmdet3d_medical.inference.formats import check_formats, table
from mmdet3d_medical.inference.runs import Job, Result, predict
from mmdet3d_medical.inference.scans import find_scans
from mmdet3d_medical.packing import read_model
from mmdet3d_medical.parallel import make_workers
from mmdet3d_medical.utils.files import check_writable

FAILED = 'failed.csv'
CLEAR = '\r\x1b[K'  # empties the line of a terminal


def main(args: Namespace) -> int:
    folder = read_model(args.model)
    check_formats(args.formats)
    check_writable(args.out / table.NAME)
    job = Job(
        args.model,
        folder.facts.sha256,
        folder.facts.threshold_of(args.score_thr, args.fp_per_scan),
        args.out,
        tuple(args.formats),
        args.device,
        args.backend,
    )
    workers = make_workers(args.executor, args.workers, args.slurm_options, args.out)
    # Other machines read what archives hold, too.
    shared = None if isinstance(workers, int) else args.out
    with tempfile.TemporaryDirectory(prefix='.unpacked-', dir=shared) as scratch:
        found = find_scans(args.scans, scratch)
        if links := note_of_links(args.scans):
            print(one_line(links), file=sys.stderr, flush=True)
        results = [Result(name, None, reason) for name, reason in found.refused.items()]
        for result in results:
            _tell(result, '')
        total = len(found.scans)
        try:
            done = predict(job, found.scans, workers, _show_tiles if _on_terminal() else None)
            for number, result in enumerate(done, start=1):
                results.append(result)
                _tell(result, f'[{number}/{total}] ')
        finally:
            failures = _write(results, args.out, 'csv' in args.formats)
    print(f'{len(results) - len(failures)} scans done, threshold {job.threshold:.3f}: {args.out}')
    if failures:
        print(f'{len(failures)} failed: {args.out / FAILED}', file=sys.stderr)
    return 2 if failures else 0


def _on_terminal() -> bool:
    return sys.stderr.isatty() and sys.stdout.isatty()


def _show_tiles(done: int, total: int) -> None:
    """Tell how much of the scan is searched, in a line that goes."""
    print(f'{CLEAR}searching: {done} of {total} tiles', end='', file=sys.stderr, flush=True)


def _tell(result: Result, count: str) -> None:
    if _on_terminal():
        print(CLEAR, end='', file=sys.stderr, flush=True)
    if result.findings is None:
        print(one_line(f'{count}failed: {result.failure}'), file=sys.stderr, flush=True)
        return
    number = len(result.findings.lesions)
    end = 'done before' if result.skipped else f'{result.seconds:.1f} s'
    print(f'{count}{result.scan_id}: {number} lesion{"s" * (number != 1)}, {end}', flush=True)
    for note in result.findings.notes:
        print(f'  note: {note}', flush=True)


def _write(results: list[Result], out: Path, with_table: bool) -> list[Result]:
    """Write what is about all scans; those that failed."""
    done = sorted((r for r in results if r.findings), key=lambda result: result.scan_id)
    failures = [result for result in results if result.findings is None]
    if with_table:
        table.write_table([result.findings for result in done], out / table.NAME)
    if failures:
        write_table(out / FAILED, ['scan', 'reason'], [[r.scan_id, r.failure] for r in failures])
    else:
        (out / FAILED).unlink(missing_ok=True)
    return failures
