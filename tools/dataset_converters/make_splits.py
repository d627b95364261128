"""Write lists of scans for training, testing and semi-supervision, from a converted data set.

LUNA16, known by the sizes of its subsets, gives 533 training scans (six subsets) and 355 test scans
(four), of the training scans 25, 50, 100 labeled and 100, 200, 300, 400 unlabeled. Other data give
six subsets in ten for training, the rest for testing, and the labeled and unlabeled lists that are
asked for. --folds K also writes the subsets 0 to K-1 into the index, for tools/cross_validate.py:
of about as many scans with lesions each. Where the index knows patients, the scans of one stay
together. The same index and seed always give the same files.

Examples:
    python tools/dataset_converters/make_splits.py data/luna16/index.json
    python tools/dataset_converters/make_splits.py data/mine/index.json
    python tools/dataset_converters/make_splits.py data/mine/index.json --folds 5
    python tools/dataset_converters/make_splits.py data/mine/index.json --labeled 10 20 \
        --unlabeled 50 --test-subsets 8 9
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmdet3d_medical.datasets.index import read_index
from mmdet3d_medical.datasets.splits import (
    default_sizes,
    find_divided,
    make_splits,
    put_folds,
    write_splits,
    write_subsets,
)

EMPTY = dict(train=', no annotated scan is left to train on', test=', no scan is left to test on')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('index', metavar='INDEX', help='index.json of the converted data')
    parser.add_argument('--out', metavar='DIR', help="default: 'splits' beside the index")
    parser.add_argument(
        '--train-subsets',
        type=int,
        nargs='+',
        metavar='K',
        help='default: as LUNA16, or six in ten',
    )
    parser.add_argument(
        '--test-subsets',
        type=int,
        nargs='+',
        metavar='K',
        help='default: those that are not for training',
    )
    parser.add_argument(
        '--labeled',
        type=int,
        nargs='*',
        metavar='N',
        help='sizes (default: 25 50 100 for LUNA16, none for other data)',
    )
    parser.add_argument(
        '--unlabeled',
        type=int,
        nargs='*',
        metavar='N',
        help='sizes (default: 100 200 300 400 for LUNA16, none for other data)',
    )
    parser.add_argument(
        '--folds',
        type=int,
        metavar='K',
        help='deal the scans into subsets 0 to K-1 and write these into the index (default: the '
        'index stays as it is)',
    )
    parser.add_argument(
        '--overwrite-subsets',
        action='store_true',
        help='with --folds: replace the subsets that the index has',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of what is drawn, and of the folds (default: 0)'
    )
    return parser.parse_args()


def choose_sizes(
    args: argparse.Namespace, scans: list[dict]
) -> tuple[Sequence[int], Sequence[int]]:
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


def main() -> int:
    args = parse_args()
    folder = Path(args.out) if args.out else Path(args.index).parent / 'splits'
    try:
        scans = read_index(args.index)['scans']
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


if __name__ == '__main__':
    sys.exit(main())
