"""Draw the detections in one scan over its annotated lesions.

A row of slices (axial, coronal, sagittal) through each lesion, then through the surest detections
that hit none. Lesions are green, detections red with their scores.

Example:
    mmdet3d-medical draw-detections marks.csv data/phantom/index.json \\
        detections.png
"""

from argparse import ArgumentParser

from ..arguments import at_least, picture


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('marks', metavar='MARKS.csv', help='what test --out wrote')
    parser.add_argument('index', metavar='INDEX', help='index.json of the converted data')
    parser.add_argument('out', type=picture, metavar='OUT.png')
    parser.add_argument(
        '--scan', metavar='ID', help='default: of the scans with marks the one with most lesions'
    )
    parser.add_argument(
        '--min-score',
        type=float,
        default=0.2,
        metavar='P',
        help='lowest score to draw (default: 0.2)',
    )
    parser.add_argument(
        '--rows', type=at_least(1), default=6, metavar='N', help='most rows of slices (default: 6)'
    )
    parser.add_argument(
        '--allow-outside',
        action='store_true',
        help='also read a volume outside the folder of the index',
    )
