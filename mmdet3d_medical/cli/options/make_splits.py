"""Write lists of scans for training, testing and semi-supervision, from a converted data set.

LUNA16, known by the sizes of its subsets, gives 533 training scans (six subsets) and 355 test scans
(four), of the training scans 25, 50, 100 labeled and 100, 200, 300, 400 unlabeled. Other data give
six subsets in ten for training, the rest for testing, and the labeled and unlabeled lists that are
asked for. --folds K also writes the subsets 0 to K-1 into the index, for cross-validate: of about
as many scans with lesions each. Where the index knows patients, the scans of one stay together. The
same index and seed always give the same files.

Examples:
    mmdet3d-medical make-splits data/luna16/index.json
    mmdet3d-medical make-splits data/mine/index.json
    mmdet3d-medical make-splits data/mine/index.json --folds 5
    mmdet3d-medical make-splits data/mine/index.json --labeled 10 20 \\
        --unlabeled 50 --test-subsets 8 9
"""

from argparse import ArgumentParser


def add_arguments(parser: ArgumentParser) -> None:
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
