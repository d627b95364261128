"""Cross-validate a detector: train and test it once for each subset, pool the marks, score once.

Fold k is tested on subset k and trained on all others. Give the same command again to go on after
an interruption; give it with different --folds to as many machines as there are. Whoever finishes
the last fold scores them all.

Example:
    mmdet3d-medical cross-validate configs/retina3d/retina3d_fpn_luna16.py --amp
    sbatch --array=0-9 --gres=gpu:1 --wrap 'mmdet3d-medical cross-validate \\
        configs/retina3d/retina3d_fpn_luna16.py --amp --folds $SLURM_ARRAY_TASK_ID'
"""

from argparse import ArgumentParser
from pathlib import Path

from ..arguments import add_config_options, add_semi_option, add_trust_option, at_least


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--folds', type=at_least(0), nargs='+', metavar='K', help='subsets to test (default: all)'
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        metavar='DIR',
        help='a folder for each fold, and '
        'the pooled marks and scores (default: work_dirs/<name of the config>_cv)',
    )
    parser.add_argument('--workers', type=at_least(1), default=1, help='folds at once (default: 1)')
    parser.add_argument(
        '--processes',
        type=at_least(1),
        default=1,
        metavar='N',
        help='processes of one fold, one for each device (default: 1)',
    )
    parser.add_argument('--amp', action='store_true', help='as in train')
    parser.add_argument('--shrink', action='store_true', help='as in train')
    parser.add_argument('--seed', type=at_least(0), help='as in train')
    parser.add_argument(
        '--bootstrap',
        type=at_least(0),
        default=1000,
        metavar='N',
        help='resamplings over scans for the 95 %% intervals (default: 1000)',
    )
    add_trust_option(parser)
    add_semi_option(parser)
    add_config_options(parser)
