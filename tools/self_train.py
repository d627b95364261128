"""Train in rounds: a detector marks the unlabeled scans, and a run goes on around its marks.

The config is one whose unlabeled patches lie around marks (LoadCandidates). Give the same command
again to go on after an interruption, or with more --rounds to add some.

Example:
    python tools/train.py configs/focalmix/retina3d_fpn_phantom_5l-0u.py
    python tools/self_train.py configs/focalmix/retina3d_fpn_phantom_5l-100u_sure.py \\
        work_dirs/retina3d_fpn_phantom_5l-0u/iter_1500.pth --rounds 2
"""

import argparse
import shlex
import signal
import sys
from pathlib import Path

from mmdet3d_medical.apis import DictAction, UsageError, add_trust_option, at_least, run_tool
from mmdet3d_medical.apis.self_training import SelfTraining
from mmdet3d_medical.apis.setup import Setup
from mmdet3d_medical.utils.processes import BusyError

TOOLS = Path(__file__).resolve().parent


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
    parser.add_argument('--amp', action='store_true', help='as in tools/train.py')
    parser.add_argument('--shrink', action='store_true', help='as in tools/train.py')
    parser.add_argument('--seed', type=at_least(0), help='as in tools/train.py')
    add_trust_option(parser)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='values to change in the config, in training and marking',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('stopped'))  # so that processes are ended
    if not args.checkpoint.is_file():
        raise UsageError(
            f'There is no checkpoint {args.checkpoint} (looked in {Path.cwd()}): '
            'train a detector on the labeled scans first, with tools/train.py'
        )
    setup = Setup(
        TOOLS,
        args.config,
        args.cfg_options or {},
        shrink=args.shrink,
        amp=args.amp,
        seed=args.seed,
        processes=args.processes,
        trust=args.trust_checkpoint,
    )
    work = args.work_dir or Path('work_dirs') / f'{Path(args.config).stem}_rounds'
    try:
        last = SelfTraining(setup, args.checkpoint, work).run(args.rounds)
    except BusyError:
        raise UsageError(f'another process works in {work}') from None
    command = setup.test_command(last, work, Path('marks.csv'), {})
    print(f'Test it: {shlex.join(command)}')


if __name__ == '__main__':
    run_tool(main)
