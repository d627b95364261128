"""Many scans, one after the other or side by side, each finished on its own."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

    @property
    def of_each(self) -> frozenset[str]:
        """Formats of which each scan has files of its own, beside ``findings.json``."""
        return frozenset(self.formats) - {FOR_ALL, PLAIN}

    def record(self, scan: Scan) -> dict:
        """What decides what is found."""
        files = json.dumps(
            scan.source.stamps(), sort_keys=True
        )  # with folders, which name patients
        return dict(
            version=__version__,
            sha256=self.sha256,
            threshold=self.threshold,
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


@dataclass(frozen=True)
class Earlier:
    """What an earlier run left of a scan.

    Attributes:
        fits: Whether it had the same model, threshold and files.
        formats: In which it wrote findings.
        written: Hash of each of its files, by path.
    """

    fits: bool = False
    formats: frozenset[str] = frozenset()
    written: Mapping[Path, str] = dataclasses.field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all that it wrote can stay."""
        return self.fits and all(path.is_file() for path in self.written)


def read_earlier(job: Job, scan: Scan) -> Earlier:
    """What an earlier run left of a scan; nothing where its record is of another version."""
    folder = job.folder(scan)
    try:
        record = json.loads((folder / RECORD).read_text())
        written = {folder / name: digest for name, digest in record.pop('written').items()}
        formats = frozenset(record.pop('formats'))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Earlier()
    there = {path: digest for path, digest in written.items() if path.parent == folder}
    return Earlier(record == job.record(scan), formats, there)


def finished(job: Job, scan: Scan) -> Findings | None:
    """Findings of an earlier run with the same model, threshold and files, in all formats."""
    earlier = read_earlier(job, scan)
    if not (earlier.complete and job.of_each <= earlier.formats):
        return None
    try:
        return read_findings_json(job.folder(scan) / FINDINGS)
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
        check_formats(job.of_each, scan)
        earlier = read_earlier(job, scan)
        at_risk = [job.folder(scan) / FINDINGS] if earlier.complete else earlier.written
        _refuse_changed(at_risk, earlier.written)
        findings = _save(job, scan, inferencer.detect(scan, job.threshold, progress), earlier)
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        text = str(error) or type(error).__name__
        return Result(scan.scan_id, None, text.strip().splitlines()[0])
    finally:
        scan.forget()
    seconds = time.perf_counter() - start
    return Result(scan.scan_id, _without_voxels(findings), seconds=seconds)


def _save(job: Job, scan: Scan, findings: Findings, earlier: Earlier) -> Findings:
    """Write findings and the record, keep or remove what is there; findings with all notes."""
    folder = job.folder(scan)
    kept = earlier.formats if earlier.complete else frozenset()
    formats = kept | job.of_each
    told = (*findings.notes, *notes(sorted({PLAIN} | formats), findings))
    findings = dataclasses.replace(findings, notes=told)
    if not earlier.fits:  # the record last: while it is there, it tells what is left to remove
        for path in (*filter(Path.is_file, earlier.written), folder / RECORD):
            path.unlink(missing_ok=True)
    new = findings.save(folder, [PLAIN, *sorted(job.of_each - kept)])
    written = {**(earlier.written if kept else {}), **{path: _digest(path) for path in new}}
    record = dict(
        job.record(scan),
        formats=sorted(formats),
        written={path.name: digest for path, digest in written.items()},
    )
    write_text(folder / RECORD, as_json(record))
    return findings


def _refuse_changed(paths: Iterable[Path], written: Mapping[Path, str]) -> None:
    """Refuse to lose files that were changed since, say boxes that were corrected in 3D Slicer.

    Raises:
        ValueError: Naming the first.
    """
    for path in paths:
        if path.is_file() and _digest(path) != written[path]:
            raise ValueError(
                f'{path} was changed since it was written, and would be lost: move it to another '
                'folder, or give another -o'
            )


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
