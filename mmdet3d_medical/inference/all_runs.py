"""What a folder holds of the scans of all runs into it: ``findings.csv`` and ``failed.csv``."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdet3d_medical.datasets.converters.report import write_table

from .findings import Findings, read_findings_json
from .formats.plain import NAME as FINDINGS
from .formats.table import NAME as TABLE
from .formats.table import write_table as write_findings
from .runs import RECORD, Result
from .scans import Found

FAILED = 'failed.csv'


@dataclass(frozen=True)
class Failure:
    """A row of ``failed.csv``.

    Attributes:
        scan: Its id, or the path of what is no scan that can be used.
        reason: Why it failed.
        given: Digest of the path that it was found by, which may name a patient. It tells a later
            run that is given the same path, where the scan may be gone, that it looked again.
    """

    scan: str
    reason: str
    given: str


def update_failures(out: Path, results: Sequence[Result], found: Found) -> list[Failure]:
    """Write which scans failed, in this run, and in earlier ones where this one did not look.

    Returns:
        All of them. Without any there is no file.
    """
    new = [
        Failure(result.scan_id, result.failure, digest(found.given[result.scan_id]))
        for result in results
        if result.findings is None
    ]
    failures = [*new, *_not_looked_at(_read_failures(out / FAILED), results, found)]
    if failures:
        rows = [[failure.scan, failure.reason, failure.given] for failure in failures]
        write_table(out / FAILED, ['scan', 'reason', 'given'], rows)
    else:
        (out / FAILED).unlink(missing_ok=True)
    return failures


def _not_looked_at(
    earlier: Iterable[Failure], results: Sequence[Result], found: Found
) -> list[Failure]:
    ended = {result.scan_id for result in results}
    waiting = found.by_id.keys() - ended  # of a run that was stopped
    paths = {str(path) for path in found.paths}
    digests = {digest(path) for path in found.paths}
    return [
        failure
        for failure in earlier
        if failure.scan in waiting
        or failure.scan not in ended
        and failure.given not in digests
        and failure.scan.partition(': ')[0] not in paths
    ]


def digest(path: Path) -> str:
    """What stands for a path in files that are handed on."""
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]


def _read_failures(path: Path) -> list[Failure]:
    if not path.is_file():
        return []
    with path.open(encoding='utf-8', errors='replace', newline='') as file:
        return [
            Failure(*(row.get(name) or '' for name in ('scan', 'reason', 'given')))
            for row in csv.DictReader(file)
        ]


def update_table(
    out: Path, results: Sequence[Result], failed: Collection[str]
) -> tuple[list[Findings], list[str]]:
    """Write the findings of all finished scans in the folder, in the order of their ids.

    Args:
        out: The folder.
        results: Of this run.
        failed: Scans to leave out: their findings, if any, are of files that have changed.

    Returns:
        Those that this run was not asked for; messages about such that cannot be read.
    """
    done = {result.scan_id: result.findings for result in results if result.findings}
    others, unreadable = [], []
    for record in sorted(out.glob(f'*/{RECORD}')):
        name = record.parent.name
        if name in done or name in failed:
            continue
        try:
            findings = read_findings_json(record.with_name(FINDINGS))
        except (OSError, ValueError) as error:
            unreadable.append(str(error))
            continue
        if findings.scan_id == name:  # else a copy of the folder
            others.append(findings)
    rows = sorted([*done.values(), *others], key=lambda findings: findings.scan_id)
    write_findings(rows, out / TABLE)
    return others, unreadable
