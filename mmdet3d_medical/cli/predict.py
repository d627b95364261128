"""What ``mmdet3d-medical predict`` does."""

import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from mmdet3d_medical.datasets.converters.links import note_of_links
from mmdet3d_medical.datasets.converters.report import one_line
from mmdet3d_medical.inference.all_runs import FAILED, update_failures, update_table
from mmdet3d_medical.inference.findings import Findings
from mmdet3d_medical.inference.formats import check_formats, table
from mmdet3d_medical.inference.runs import Job, Result, predict
from mmdet3d_medical.inference.scans import Found, find_scans
from mmdet3d_medical.packing import read_model
from mmdet3d_medical.parallel import make_workers
from mmdet3d_medical.utils.files import check_writable

CLEAR = '\r\x1b[K'  # empties the line of a terminal


def main(args: Namespace) -> int:
    folder = read_model(args.model)
    check_formats(args.formats)
    _check_out(args.out)
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
            others = _write(results, found, args)
    failed = sum(result.findings is None for result in results)
    print(f'{len(results) - failed} scans done, threshold {job.threshold:.3f}: {args.out}')
    _tell_others(others, folder.facts.name, job.threshold)
    if failed:
        print(f'{failed} failed: {args.out / FAILED}', file=sys.stderr)
    return 2 if failed else 0


def _check_out(out: Path) -> None:
    """Refuse, before any work, a place that no results can be written to."""
    try:
        check_writable(out / table.NAME)
    except (FileExistsError, FileNotFoundError, NotADirectoryError, PermissionError) as error:
        if (out / table.NAME).exists():  # it is about this file, and says so
            raise
        found = 'a file' if out.is_file() else error.strerror
        raise OSError(
            f'{out}: expected a folder for results that can be made and written, found: {found}. '
            'Give another folder to -o'
        ) from None


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


def _write(results: list[Result], found: Found, args: Namespace) -> list[Findings]:
    """Bring up to date what is about all scans; findings of earlier runs in the table."""
    failures = update_failures(args.out, results, found)
    path = args.out / table.NAME
    if 'csv' not in args.formats and not path.exists():
        return []
    others, unreadable = update_table(args.out, results, {failure.scan for failure in failures})
    for message in unreadable:
        print(one_line(f'not in {path}: {message}: give the scan again'), file=sys.stderr)
    return others


def _tell_others(others: list[Findings], model: str, threshold: float) -> None:
    if not others:
        return
    differ = sum((found.model, found.threshold) != (model, threshold) for found in others)
    told = f'{table.NAME} also has the scans of earlier runs: {len(others)}'
    print(f'{told}, {differ} of them with another model or threshold' if differ else told)
