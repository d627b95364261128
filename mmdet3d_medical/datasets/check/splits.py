"""Whether the lists of scans keep training and testing apart."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mmdet3d_medical.utils.tables import read_cells

from .problem import ERROR, Problem

TRAINING = ('train.txt', 'labeled_*.txt', 'unlabeled_*.txt')


def check_splits(scans: Sequence[dict], folder: str | Path) -> list[Problem]:
    """Check the lists that ``make-splits`` writes, if there are any.

    Errors are ids that the index lacks, and scans or patients both in ``test.txt`` and in a list
    for training.

    Args:
        scans: Scans of the index.
        folder: Where the lists lie.
    """
    folder = Path(folder)
    testing = _ids(folder / 'test.txt') if (folder / 'test.txt').is_file() else set()
    paths = sorted(path for pattern in TRAINING for path in folder.glob(pattern))
    training = {scan_id for path in paths for scan_id in _ids(path)}
    return [Problem(ERROR, '', text, 'splits') for text in _faults(scans, training, testing)]


def _faults(scans: Sequence[dict], training: set[str], testing: set[str]) -> Iterator[str]:
    patients = {scan['scan_id']: scan.get('patient') for scan in scans}
    shared = _patients(training, patients) & _patients(testing, patients)
    for found, what in (
        ((training | testing) - set(patients), 'scans of the lists are not in the index'),
        (training & testing, 'scans are for training and for testing'),
        (shared, 'patients have scans for training and for testing'),
    ):
        if found:
            yield f'{len(found)} {what}, the first is {min(found)}: run make-splits again'


def _patients(scan_ids: set[str], patients: dict[str, str | None]) -> set[str]:
    return {patients.get(scan_id) for scan_id in scan_ids} - {None}


def _ids(path: Path) -> set[str]:
    return {cells[0] for _, cells in read_cells(path)}
