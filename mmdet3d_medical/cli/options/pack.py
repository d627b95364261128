"""Make a model folder of a trained detector: weights as safetensors, facts as JSON, a model card.

Example:
    mmdet3d-medical pack configs/retina3d/retina3d_fpn_phantom.py \\
        work_dirs/retina3d_fpn_phantom/iter_1500.pth -o my_model \\
        --marks val.csv --annotations data/phantom/index.json --fp-per-scan 1
"""

from argparse import ArgumentParser

from ..arguments import add_config_options, add_semi_option, add_trust_option, positive


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config that it was trained with')
    parser.add_argument('checkpoint', help='file with trained weights')
    parser.add_argument('-o', '--out', required=True, metavar='MODEL', help='folder to write')
    parser.add_argument('--name', help='of the model (default: that of the folder)')
    parser.add_argument('--summary', default='', help='what it finds in what, a sentence')
    parser.add_argument(
        '--marks',
        metavar='VAL.csv',
        help='its marks on validation scans, for the threshold and the operating points',
    )
    parser.add_argument(
        '--annotations',
        metavar='A.csv',
        help='lesions of the validation scans: a CSV file or the index.json of converted data',
    )
    parser.add_argument('--excluded', metavar='E.csv', help='findings that count neither way')
    parser.add_argument(
        '--seriesuids',
        metavar='S.csv',
        help='the validation scans (default: those in the annotations and the marks)',
    )
    parser.add_argument(
        '--fp-per-scan',
        type=positive,
        default=1.0,
        metavar='R',
        help='the default threshold has at most so many false positives in a scan (default: '
        '%(default)g)',
    )
    parser.add_argument(
        '--scan-share',
        type=positive,
        default=1.0,
        metavar='F',
        help='whole scans that a validation scan stands for, below 1 for parts (default: '
        '%(default)g)',
    )
    parser.add_argument(
        '--spacing',
        nargs=3,
        type=positive,
        metavar=('Z', 'Y', 'X'),
        help='mm that scans are resampled to (default: those of the training)',
    )
    parser.add_argument(
        '--crop',
        choices=('lungs', 'none'),
        help='what scans are cut to (default: as in the training)',
    )
    parser.add_argument('--measured-on', default='', help='what the validation scans are')
    parser.add_argument('--card', metavar='README.md', help='model card (default: one is written)')
    add_trust_option(parser)
    add_semi_option(parser)
    add_config_options(parser)
