"""What ``mmdet3d-medical make-splits`` does."""

import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmdet3d_medical.datasets.index import open_index
from mmdet3d_medical.datasets.splits import (
    default_sizes,
    find_divided,
    in_brief,
    make_splits,
    put_folds,
    write_splits,
    write_subsets,
)

EMPTY = dict(train=', no annotated scan is left to train on', test=', no scan is left to test on')


def choose_sizes(args: Namespace, scans: list[dict]) -> tuple[Sequence[int], Sequence[int]]:
    """Sizes of the labeled and unlabeled lists, as given or as is usual for the data."""
    labeled, unlabeled = default_sizes(scans)
    return (
        labeled if args.labeled is None else args.labeled,
        unlabeled if args.unlabeled is None else args.unlabeled,
    )


def describe_patients(scans: list[dict]) -> str | None:
    """What is to be known of patients where a split by them is not as good as it should be."""
    unknown = sum(not scan.get('patient') for scan in scans)
    divided = find_divided(scans)
    if divided:
        return (
            f'{len(divided)} patients have scans in several subsets of the index, the first is '
            f"scan {divided[0]}'s: what is tested may have been trained on; take these scans "
            'out, or convert them without subsets'
        )
    if unknown:
        known = 'no patients' if unknown == len(scans) else f'no patient of {unknown} scans'
        return (
            f'the index knows {known}: scans of one patient may lie on both sides; the column '
            'patient of a CSV file of annotations tells them, and so do DICOM files'
        )
    if len(scans) > len({scan['patient'] for scan in scans}) == 1:
        return 'all scans are of one patient: is the id a placeholder of an anonymized data set?'
    return None


def remove_lists(folder: Path, lists: Iterable[str]) -> None:
    """Remove the lists of subsets that the index had before, and has no longer."""
    for path in folder.glob('subset*.txt'):
        if path.stem not in lists:
            path.unlink()


def main(args: Namespace) -> int:
    folder = Path(args.out) if args.out else Path(args.index).parent / 'splits'
    try:
        scans = in_brief(open_index(args.index)['scans'])
        if args.folds is not None:
            scans = put_folds(scans, args.folds, args.seed, args.overwrite_subsets)
        labeled, unlabeled = choose_sizes(args, scans)
        lists = make_splits(
            scans, args.train_subsets, args.test_subsets, labeled, unlabeled, args.seed
        )
        if args.folds is not None:
            write_subsets(args.index, scans)
            remove_lists(folder, lists)
        write_splits(folder, lists)
    except (ValueError, OSError) as error:
        print(f'error: {args.index}: {error}', file=sys.stderr)
        return 2
    if args.folds is not None:
        print(f'{args.index}: scans have the subsets 0 to {args.folds - 1} now')
    for name, scan_ids in lists.items():
        print(f'{folder / name}.txt: {len(scan_ids)} scans{"" if scan_ids else EMPTY[name]}')
    if note := describe_patients(scans):
        print(note)
    if not (labeled or unlabeled):
        print('no labeled and unlabeled lists: --labeled and --unlabeled make them')
    return 0
