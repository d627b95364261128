"""Which scans are for training, for testing, labeled and unlabeled."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mmdet3d_medical.utils.files import staged, write_text

from .index import write_index

NUM_SUBSETS = 10
LUNA16_SCANS = 888
LUNA16_TRAIN = (6, 533)  # six of the ten subsets hold 533 of the 888 scans, the other four 355
LUNA16_LABELED = (25, 50, 100)
LUNA16_UNLABELED = (100, 200, 300, 400)
WITH_LESION, WITHOUT_LESION, NOT_ANNOTATED = range(3)  # kinds of scans


def in_brief(scans: Iterable[dict]) -> list[dict]:
    """What of scans tells into which lists they go; a list of whole scans may be too large.

    Args:
        scans: Scans of the index.

    Returns:
        Scans with ``scan_id``, ``subset``, ``patient``, ``annotated`` and, of their instances, one
        lesion if there is any.
    """
    return [
        dict(
            scan_id=scan['scan_id'],
            subset=scan.get('subset'),
            patient=scan.get('patient'),
            annotated=scan['annotated'],
            instances=[dict(ignore=False)] * (_kind(scan) == WITH_LESION),
        )
        for scan in scans
    ]


def first_scans(scans: Sequence[dict]) -> dict[str, str]:
    """The first scan id of each scan's patient, which stands for the patient.

    Args:
        scans: Scans of the index. One whose patient is not known is taken for a patient's only one.
    """
    first: dict[str, str] = {}
    for scan in scans:
        patient, scan_id = scan.get('patient'), scan['scan_id']
        first[patient] = min(scan_id, first.get(patient, scan_id))
    return {
        scan['scan_id']: first[scan['patient']] if scan.get('patient') else scan['scan_id']
        for scan in scans
    }


def shuffled(scan_ids: Iterable[str], seed: int, patients: Mapping[str, str]) -> list[str]:
    """Order ids at random, but as a function of seed and ids alone; a patient's stay together.

    Two patients keep their order whatever else is in the list, and with every version of Python.

    Args:
        scan_ids: Scans to order.
        seed: Decides the order.
        patients: As :func:`first_scans`.
    """

    def key(scan_id: str) -> tuple[bytes, bytes]:
        return _digest(patients[scan_id], seed), _digest(scan_id, seed)

    return sorted(scan_ids, key=key)


def _digest(name: str, seed: int) -> bytes:
    return hashlib.sha256(f'{seed}:{name}'.encode()).digest()


def group_subsets(scans: Sequence[dict], seed: int) -> dict[int, list[str]]:
    """Scan ids by subset, sorted. Scans without a subset are dealt into ten by seed.

    Raises:
        ValueError: If some scans have a subset and others have none.
    """
    numbers = {scan['scan_id']: scan.get('subset') for scan in scans}
    without = [scan_id for scan_id, subset in numbers.items() if subset is None]
    if without and len(without) < len(numbers):
        raise ValueError(
            f'{len(without)} of {len(numbers)} scans have no subset, the first is '
            f'{without[0]!r}: give every scan a subset or none'
        )
    numbers.update(_deal(shuffled(without, seed, patients := first_scans(scans)), patients))
    groups: dict[int, list[str]] = {}
    for scan_id in sorted(numbers):
        groups.setdefault(numbers[scan_id], []).append(scan_id)
    return dict(sorted(groups.items()))


def _deal(scan_ids: Iterable[str], patients: Mapping[str, str]) -> dict[str, int]:
    """Subset of each scan: patient by patient into the one that has the fewest scans yet."""
    sizes = [0] * NUM_SUBSETS
    numbers: dict[str, int] = {}
    for _, group in itertools.groupby(scan_ids, key=patients.__getitem__):
        subset, members = sizes.index(min(sizes)), list(group)
        numbers |= dict.fromkeys(members, subset)
        sizes[subset] += len(members)
    return numbers


def deal_folds(scans: Sequence[dict], folds: int, seed: int = 0) -> dict[str, int]:
    """Deal scans into folds of about the same size, for cross-validation.

    All scans of a patient go into one fold. Patients with lesions, those annotated without one
    and those not annotated are dealt one kind after the other, each into the fold that has the
    fewest scans of that kind yet, then the fewest scans.

    Args:
        scans: Scans of the index.
        folds: How many, at least 2.
        seed: Decides the order in which patients are dealt. Defaults to 0.

    Returns:
        The fold of each scan id, 0 to ``folds`` - 1.

    Raises:
        ValueError: If there are fewer patients with annotated scans than folds.
    """
    patients = first_scans(scans)
    kinds: dict[str, int] = {}
    for scan in scans:
        patient = patients[scan['scan_id']]
        kinds[patient] = min(_kind(scan), kinds.get(patient, NOT_ANNOTATED))
    annotated = sum(kind != NOT_ANNOTATED for kind in kinds.values())
    if folds < 2 or annotated < folds:
        raise ValueError(
            f'{folds} folds were asked for: expected at least 2, and no more than there are '
            f'patients with annotated scans, {annotated}'
        )
    order = shuffled(patients, seed, patients)
    sizes, numbers = Counter(), {}
    for kind in (WITH_LESION, WITHOUT_LESION, NOT_ANNOTATED):
        of_kind = [scan_id for scan_id in order if kinds[patients[scan_id]] == kind]
        for _, group in itertools.groupby(of_kind, key=patients.__getitem__):
            members = list(group)
            fold = min(range(folds), key=lambda fold: (sizes[fold, kind], sizes[fold]))
            numbers |= dict.fromkeys(members, fold)
            sizes.update({(fold, kind): len(members), fold: len(members)})
    return numbers


def _kind(scan: dict) -> int:
    """``WITH_LESION`` and ``WITHOUT_LESION`` are annotated."""
    if not scan.get('annotated', True):
        return NOT_ANNOTATED
    ignored = all(lesion.get('ignore') for lesion in scan['instances'])
    return WITHOUT_LESION if ignored else WITH_LESION


def put_folds(
    scans: Sequence[dict], folds: int, seed: int = 0, overwrite: bool = False
) -> list[dict]:
    """Copies of scans with the folds of :func:`deal_folds` as their subsets.

    Args:
        scans: Scans of the index.
        folds: How many.
        seed: See :func:`deal_folds`. Defaults to 0.
        overwrite: Whether subsets that scans have may be lost. Defaults to False.

    Raises:
        ValueError: If scans have subsets that must not be lost, or as :func:`deal_folds`.
    """
    found = sorted({scan.get('subset') for scan in scans} - {None})
    if found and not overwrite:
        raise ValueError(
            f'the scans have the subsets {found} already: leave --folds out to keep them, or give '
            '--overwrite-subsets to replace them'
        )
    numbers = deal_folds(scans, folds, seed)
    return [{**scan, 'subset': numbers[scan['scan_id']]} for scan in scans]


def write_subsets(path: str | Path, scans: Sequence[dict]) -> None:
    """Write the subsets of scans into their index, which is replaced whole or not at all."""
    numbers = {scan['scan_id']: scan['subset'] for scan in scans}
    index = json.loads(Path(path).read_text(encoding='utf-8-sig'))  # without what reading adds
    for scan in index['scans']:
        scan['subset'] = numbers[scan['scan_id']]
    write_index(path, index)


def choose_train_subsets(sizes: Mapping[int, int]) -> list[int]:
    """Subsets to train on: those with LUNA16's 533 scans if there are such, else the first 60 %.

    Args:
        sizes: Scans in each subset.
    """
    return find_luna16_subsets(sizes) or sorted(sizes)[: max(1, round(0.6 * len(sizes)))]


def find_luna16_subsets(sizes: Mapping[int, int]) -> list[int] | None:
    """The subsets that LUNA16 is trained on; ``None`` if the sizes are not LUNA16's.

    LUNA16 has eight subsets of 89 scans and two of 88, so 533 = 5 * 89 + 88. Of the choices
    with that sum, the first in order is taken.

    Args:
        sizes: Scans in each subset.
    """
    count, total = LUNA16_TRAIN
    if sum(sizes.values()) != LUNA16_SCANS:
        return None
    return next(
        (
            list(subsets)
            for subsets in itertools.combinations(sorted(sizes), count)
            if sum(sizes[subset] for subset in subsets) == total
        ),
        None,
    )


def default_sizes(scans: Sequence[dict]) -> tuple[Sequence[int], Sequence[int]]:
    """Sizes of the labeled and of the unlabeled lists: LUNA16's for LUNA16, none for other data.

    Args:
        scans: Scans of the index.
    """
    sizes = Counter(scan.get('subset') for scan in scans)
    is_luna16 = None not in sizes and find_luna16_subsets(sizes)
    return (LUNA16_LABELED, LUNA16_UNLABELED) if is_luna16 else ((), ())


def make_splits(
    scans: Sequence[dict],
    train_subsets: Sequence[int] | None = None,
    test_subsets: Sequence[int] | None = None,
    labeled: Sequence[int] = (),
    unlabeled: Sequence[int] = (),
    seed: int = 0,
) -> dict[str, list[str]]:
    """Make all lists of a protocol.

    Shorter labeled lists are the beginnings of longer ones, so are the unlabeled ones, and no
    patient has both labeled and unlabeled scans, whichever two lists are combined. Nor has one
    scans for training and for testing, unless the index has subsets that divide patients: see
    :func:`find_divided`. Scans of the training subsets that are not annotated are not in 'train',
    but the first in the unlabeled lists.

    Args:
        scans: Scans of the index.
        train_subsets: ``None`` chooses by :func:`choose_train_subsets`.
        test_subsets: ``None`` takes all that are not for training.
        labeled: Sizes of the labeled lists.
        unlabeled: Sizes of the unlabeled lists.
        seed: Decides which scans are labeled and unlabeled. Defaults to 0.

    Returns:
        Scan ids by name: 'subset0' ..., 'train', 'test', 'labeled_25' ..., 'unlabeled_100' ...

    Raises:
        ValueError: If a subset does not exist or is on both sides, or there are too few scans.
    """
    groups = group_subsets(scans, seed)
    if train_subsets is None:
        sizes = {k: len(ids) for k, ids in groups.items() if k not in (test_subsets or ())}
        train_subsets = choose_train_subsets(sizes) if test_subsets is None else sorted(sizes)
    if test_subsets is None:
        test_subsets = sorted(set(groups) - set(train_subsets))
    _check_subsets(groups, train_subsets, test_subsets)
    unannotated = {scan['scan_id'] for scan in scans if not scan.get('annotated', True)}
    usable = {scan_id for subset in train_subsets for scan_id in groups[subset]}
    train, extra = sorted(usable - unannotated), sorted(usable & unannotated)
    lists = {f'subset{subset}': ids for subset, ids in groups.items()}
    lists['train'] = train
    lists['test'] = sorted(scan_id for subset in test_subsets for scan_id in groups[subset])
    return lists | draw_labeled(train, labeled, unlabeled, seed, extra, first_scans(scans))


def find_divided(scans: Sequence[dict]) -> list[str]:
    """First scan id of each patient whose scans lie in several subsets of the index, sorted.

    Scans that :func:`make_splits` deals into subsets itself are never divided so.

    Args:
        scans: Scans of the index.
    """
    patients = first_scans(scans)
    subsets: dict[str, set[int | None]] = {}
    for scan in scans:
        subsets.setdefault(patients[scan['scan_id']], set()).add(scan.get('subset'))
    return sorted(scan_id for scan_id, found in subsets.items() if len(found) > 1)


def draw_labeled(
    train: Sequence[str],
    labeled: Sequence[int],
    unlabeled: Sequence[int],
    seed: int,
    unannotated: Sequence[str],
    patients: Mapping[str, str],
) -> dict[str, list[str]]:
    """Draw nested labeled and unlabeled lists, without a patient in both.

    Args:
        train: Annotated scans for training.
        labeled: Sizes of the labeled lists.
        unlabeled: Sizes of the unlabeled lists.
        seed: Decides which scans are drawn.
        unannotated: Scans that go into the unlabeled lists before any annotated one.
        patients: As :func:`first_scans`.

    Raises:
        ValueError: If a size is below 1 or the largest two do not fit together.
    """
    if min([*labeled, *unlabeled], default=1) < 1:
        raise ValueError(f'lists need at least one scan, found sizes {labeled} and {unlabeled}')
    first, most = max(labeled, default=0), max(unlabeled, default=0)
    order = shuffled(train, seed, patients)
    taken = {patients[scan_id] for scan_id in order[:first]}
    rest = [
        scan_id
        for scan_id in shuffled(unannotated, seed, patients) + order
        if patients[scan_id] not in taken
    ]
    if first > len(order) or most > len(rest):
        others = f' and {len(unannotated)} without annotations' if unannotated else ''
        bound = len(order[first:]) + len(unannotated) - len(rest)
        bound_too = f'; {bound} more are of labeled patients' if bound else ''
        raise ValueError(
            f'{first} labeled and {most} unlabeled scans were asked for, but only '
            f'{len(train)} scans{others} are for training{bound_too}: ask for fewer'
        )
    return {
        **{f'labeled_{size}': order[:size] for size in labeled},
        **{f'unlabeled_{size}': rest[:size] for size in unlabeled},
    }


def write_splits(folder: str | Path, lists: Mapping[str, Sequence[str]]) -> None:
    """Write each list as ``<name>.txt``, one scan id a line; see :func:`.staged`."""
    with staged(folder) as scratch:
        for name, scan_ids in lists.items():
            write_text(scratch / f'{name}.txt', ''.join(f'{scan_id}\n' for scan_id in scan_ids))


def _check_subsets(
    groups: Mapping[int, list[str]], train: Sequence[int], test: Sequence[int]
) -> None:
    unknown = sorted((set(train) | set(test)) - set(groups))
    if unknown:
        raise ValueError(
            f'the index has no scans of the subsets {unknown}, it has those of {list(groups)}'
        )
    both = sorted(set(train) & set(test))
    if both:
        raise ValueError(f'the subsets {both} are for training and for testing: choose one')
