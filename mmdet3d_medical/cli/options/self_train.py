"""Train in rounds: a detector marks the unlabeled scans, and a run goes on around its marks.

The config is one whose unlabeled patches lie around marks (LoadCandidates). Give the same command
again to go on after an interruption, or with more --rounds to add some.

Example:
    mmdet3d-medical train configs/retina3d/retina3d_fpn_phantom.py \\
        --cfg-options train_dataloader.dataset.split=splits/labeled_10.txt
    mmdet3d-medical self-train configs/retina3d/retina3d_fpn_phantom.py \\
        work_dirs/retina3d_fpn_phantom/iter_1500.pth --rounds 2 \\
        --semi phantom confident_pseudo_labels
"""

from argparse import ArgumentParser
from pathlib import Path

from ..arguments import add_config_options, add_semi_option, add_trust_option, at_least


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='semi-supervised config')
    parser.add_argument(
        'checkpoint', type=Path, help='of the detector that the first round starts from'
    )
    parser.add_argument(
        '--rounds',
        type=at_least(1),
        default=2,
        metavar='N',
        help='how often to mark and train (default: 2)',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        metavar='DIR',
        help='a folder for each round (default: work_dirs/<name of the config>_rounds)',
    )
    parser.add_argument(
        '--processes',
        type=at_least(1),
        default=1,
        metavar='N',
        help='one for each device (default: 1)',
    )
    parser.add_argument('--amp', action='store_true', help='as in train')
    parser.add_argument('--shrink', action='store_true', help='as in train')
    parser.add_argument('--seed', type=at_least(0), help='as in train')
    add_trust_option(parser)
    add_semi_option(parser)
    add_config_options(parser)
