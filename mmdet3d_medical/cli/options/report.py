"""Show on a page what a detector misses and mistakes: FROC, missed lesions, worst false positives.

The page is one file that opens without a network. Marks are those of ``test --out``, or of
``predict`` on scans that were converted.

Example:
    mmdet3d-medical report marks.csv data/mine/index.json -o report.html
"""

from argparse import ArgumentParser

from ..arguments import at_least, out_file


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('marks', metavar='MARKS.csv', help='what test --out wrote')
    parser.add_argument('index', metavar='INDEX', help='index.json of the converted data')
    parser.add_argument('-o', '--out', required=True, type=out_file, metavar='OUT.html')
    parser.add_argument(
        '--seriesuids',
        metavar='S.csv',
        help='the scans that were tested, one id a line (default: those with marks)',
    )
    parser.add_argument(
        '--class',
        dest='class_name',
        metavar='NAME',
        help='show this class only; needed where there are several',
    )
    parser.add_argument(
        '--most',
        type=at_least(1),
        default=24,
        metavar='N',
        help='pictures of each kind (default: %(default)s)',
    )
    parser.add_argument(
        '--bootstrap',
        type=at_least(0),
        default=1000,
        metavar='N',
        help='resamplings over scans for the 95 %% intervals (default: %(default)s)',
    )
    parser.add_argument(
        '--allow-outside',
        action='store_true',
        help='also read volumes outside the folder of the index',
    )
