"""Many scans, one after the other or side by side, each finished on its own."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmdet3d_medical.parallel import NoResult, Workers, do_each, in_this_process
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import as_json, write_text
from mmdet3d_medical.version import __version__

from .findings import Findings, read_findings_json
from .formats import check_formats, notes
from .formats.plain import NAME as FINDINGS
from .scans import Scan

RECORD = 'run.json'  # written last: a scan whose record fits is finished
FOR_ALL = 'csv'  # one file for all scans
PLAIN = 'json'  # of every scan: a later run reads it


@dataclass(frozen=True)
class Job:
    """What to do with each scan.

    Attributes:
        model: Name or folder of a model.
        sha256: Of its weights.
        threshold: Lowest score of a finding.
        out: Folder; each scan gets one below it.
        formats: What to write of each scan, beside ``findings.json``.
        device: As in :class:`.LesionInferencer`.
        backend: As in :class:`.LesionInferencer`.
    """

    model: str
    sha256: str
    threshold: float
    out: Path
    formats: tuple[str, ...]
    device: str | None = None
    backend: str = 'auto'

    def folder(self, scan: Scan) -> Path:
        """Where the findings of a scan go."""
        return self.out / scan.scan_id

    def record(self, scan: Scan) -> dict:
        """What decides what is written."""
        files = json.dumps(
            scan.source.stamps(), sort_keys=True
        )  # with folders, which name patients
        return dict(
            version=__version__,
            sha256=self.sha256,
            threshold=self.threshold,
            formats=sorted(self.formats),
            files=hashlib.sha256(files.encode()).hexdigest(),
        )


@dataclass(frozen=True)
class Result:
    """What became of a scan: findings, or why there are none."""

    scan_id: str
    findings: Findings | None
    failure: str = ''
    seconds: float = 0.0
    skipped: bool = False


def finished(job: Job, scan: Scan) -> Findings | None:
    """Findings of an earlier run with the same model, threshold, formats and files."""
    folder = job.folder(scan)
    try:
        record = json.loads((folder / RECORD).read_text())
        written = record.pop('written')
        if record != job.record(scan) or not all((folder / name).is_file() for name in written):
            return None
        return read_findings_json(folder / FINDINGS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # of another version
        return None


def predict(
    job: Job,
    scans: Sequence[Scan],
    workers: Workers = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Result]:
    """Results as scans end; a scan that fails does not stop the others.

    Args:
        job: What to do.
        scans: The scans.
        workers: Processes, each with a model of its own, or what
            :func:`mmdet3d_medical.parallel.make_workers` gives.
        progress: Called with the tiles done and all tiles of the scan that is searched; not where
            several are searched at once.
    """
    pending = []
    for scan in scans:
        found = finished(job, scan)
        if found is None:
            pending.append(scan)
        else:
            yield Result(scan.scan_id, found, skipped=True)
    if in_this_process(pending, workers):
        work = partial(predict_scan, job, progress=progress)
    else:
        threads = max(1, (os.cpu_count() or 1) // workers) if isinstance(workers, int) else None
        work = partial(_predict_missing, job, threads=threads)
    for scan, result in do_each(work, pending, workers):
        failed = isinstance(result, NoResult)
        yield Result(scan.scan_id, None, result.reason) if failed else result


def _predict_missing(job: Job, scan: Scan, threads: int | None) -> Result:
    """Findings of a scan, which a worker that was lost may have written."""
    found = finished(job, scan)
    if found is not None:
        return Result(scan.scan_id, found, skipped=True)
    return predict_scan(job, scan, threads)


def predict_scan(
    job: Job,
    scan: Scan,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Find, write, and record that it is done."""
    inferencer = _inferencer(job.model, job.sha256, job.device, job.backend, threads)
    start = time.perf_counter()
    try:
        formats = [PLAIN, *sorted({*job.formats} - {FOR_ALL, PLAIN})]
        check_formats(formats, scan)
        folder, record = job.folder(scan), job.record(scan)
        outdated = _outdated(folder, record)
        findings = inferencer.detect(scan, job.threshold, progress)
        told = (*findings.notes, *notes(formats, findings))
        findings = dataclasses.replace(findings, notes=told)
        for path in outdated:
            path.unlink(missing_ok=True)
        written = {path.name: _digest(path) for path in findings.save(folder, formats)}
        write_text(folder / RECORD, as_json({**record, 'written': written}))
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        text = str(error) or type(error).__name__
        return Result(scan.scan_id, None, text.strip().splitlines()[0])
    finally:
        scan.forget()
    seconds = time.perf_counter() - start
    return Result(scan.scan_id, _without_voxels(findings), seconds=seconds)


def _outdated(folder: Path, record: dict) -> list[Path]:
    """What a run with other settings wrote: it does not agree with what is to be written.

    Files of the same settings stay, as a worker that only seemed lost may have just written them.
    The record is last: while it is there, it tells what is left to remove.

    Raises:
        ValueError: If a file was changed since, say boxes that were corrected in 3D Slicer.
    """
    try:
        earlier = json.loads((folder / RECORD).read_text())
        written = {folder / name: digest for name, digest in earlier.pop('written').items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # of another version
        return []
    if earlier == record:
        return []
    listed = [path for path in written if path.parent == folder and path.is_file()]
    for path in listed:
        if _digest(path) != written[path]:
            raise ValueError(
                f'{path} was changed since it was written, and would be lost: move it to another '
                'folder, or give another -o'
            )
    return [*listed, folder / RECORD]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _without_voxels(findings: Findings) -> Findings:
    return Findings.from_dict(findings.to_dict())


@functools.lru_cache(maxsize=1)  # processes of a cluster may live long and meet many
def _inferencer(model: str, sha256: str, device: str | None, backend: str, threads: int | None):
    """The model of this process.

    Raises:
        UsageError: If its weights are not those of the job.
    """
    import torch

    from .inferencer import LesionInferencer

    if threads:
        torch.set_num_threads(threads)
    inferencer = LesionInferencer(model, device, backend)
    if inferencer.facts.sha256 != sha256:
        raise UsageError(
            f'{inferencer.folder.path} on {platform.node()} holds other weights than where the '
            'command was given: give all machines the same model'
        )
    return inferencer
