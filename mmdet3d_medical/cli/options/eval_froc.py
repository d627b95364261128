"""Score marks by the rules of LUNA16: sensitivity at seven false positive rates, CPM, intervals.

Marks of several detectors are scored side by side, with the difference of each from the first.
Recall by nodule size follows, and what the marks of a score and above are worth; missed nodules and
the worst false positives go to a file.

Example:
    mmdet3d-medical eval-froc marks.csv --annotations annotations.csv \\
        --excluded annotations_excluded.csv --seriesuids seriesuids.csv --plot froc.png
    mmdet3d-medical eval-froc baseline.csv focalmix.csv \\
        --annotations annotations.csv --names supervised FocalMix
"""

from argparse import ArgumentParser

from ..arguments import at_least, out_file, picture


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        'marks',
        metavar='MARKS.csv',
        nargs='+',
        help='seriesuid,coordX,coordY,coordZ,probability[,diameter_mm,...]; of '
        'several files the first is what the others are compared with',
    )
    parser.add_argument(
        '--annotations',
        required=True,
        metavar='A.csv',
        help='lesions: seriesuid,coordX,coordY,coordZ,diameter_mm, or a review saved from a '
        'report; or the index.json of converted data, whose scans without annotations are not '
        'scored',
    )
    parser.add_argument(
        '--excluded',
        metavar='E.csv',
        help='findings on which marks count neither way; same columns',
    )
    parser.add_argument(
        '--seriesuids',
        metavar='S.csv',
        help='all scans that were searched, one id a line (default: those in '
        'the annotations and the marks)',
    )
    parser.add_argument(
        '--bootstrap',
        type=at_least(0),
        default=1000,
        metavar='N',
        help='resamplings over scans for the 95 %% intervals (default: 1000)',
    )
    parser.add_argument('--seed', type=at_least(0), default=0, help='seed of the resampling')
    parser.add_argument(
        '--max-marks',
        type=at_least(1),
        default=100,
        metavar='N',
        help='most marks that count in one scan (default: 100)',
    )
    parser.add_argument(
        '--class',
        dest='class_name',
        metavar='NAME',
        help='score this class only; needed where files name several',
    )
    parser.add_argument(
        '--names',
        nargs='+',
        metavar='NAME',
        help='what to call the files (default: by their names, or folders)',
    )
    parser.add_argument(
        '--thresholds',
        nargs='+',
        type=float,
        default=[],
        metavar='SCORE',
        help='tell what the marks of these scores and above find, and how many of them are right',
    )
    parser.add_argument(
        '--json', type=out_file, metavar='OUT.json', help='write the scores to this file'
    )
    parser.add_argument(
        '--errors',
        type=out_file,
        metavar='OUT.csv',
        help='write the nodules that are missed and the 100 worst false positives to this file',
    )
    parser.add_argument(
        '--plot', type=picture, metavar='OUT.png', help='draw the FROC curve to this file'
    )
