"""Train a detector.

Example:
    mmdet3d-medical train configs/retina3d/retina3d_fpn_luna16.py --amp
"""

from argparse import ArgumentParser

from ..arguments import add_config_options, add_semi_option, add_trust_option, at_least


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir', help='where logs and checkpoints go (default: work_dirs/<name of the config>)'
    )
    parser.add_argument(
        '--resume', action='store_true', help='go on from the last checkpoint in the work directory'
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision: float16, on a CPU bfloat16'
    )
    parser.add_argument(
        '--shrink',
        action='store_true',
        help='small patches, batches and widths and few iterations, to try any config on a laptop',
    )
    parser.add_argument(
        '--allow-partial',
        action='store_true',
        help='train from weights in load_from that fit the model in part only',
    )
    add_trust_option(parser)
    parser.add_argument('--seed', type=at_least(0), help='seed of everything random')
    add_semi_option(parser)
    add_config_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
