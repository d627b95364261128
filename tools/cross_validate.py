"""Cross-validate a detector: train and test it once for each subset, pool the marks, score once.

Fold k is tested on subset k and trained on all others. Give the same command again to go on after
an interruption; give it with different --folds to as many machines as there are. Whoever finishes
the last fold scores them all.

Example:
    python tools/cross_validate.py configs/retina3d/retina3d_fpn_luna16.py --amp
    sbatch --array=0-9 --gres=gpu:1 --wrap 'python tools/cross_validate.py \\
        configs/retina3d/retina3d_fpn_luna16.py --amp --folds $SLURM_ARRAY_TASK_ID'
"""

import argparse
import signal
import subprocess
import sys
from pathlib import Path

from mmdet3d_medical.apis import DictAction, UsageError, add_trust_option, at_least, run_tool
from mmdet3d_medical.apis.cross_validation import CrossValidation, run_folds
from mmdet3d_medical.apis.setup import Setup

TOOLS = Path(__file__).resolve().parent


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
    parser.add_argument('--amp', action='store_true', help='as in tools/train.py')
    parser.add_argument('--shrink', action='store_true', help='as in tools/train.py')
    parser.add_argument('--seed', type=at_least(0), help='as in tools/train.py')
    parser.add_argument(
        '--bootstrap',
        type=at_least(0),
        default=1000,
        metavar='N',
        help='resamplings over scans for the 95 %% intervals (default: 1000)',
    )
    add_trust_option(parser)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='values to change in the config, in training and testing',
    )
    return parser.parse_args()


def score(validation: CrossValidation, bootstraps: int) -> None:
    """Pool the marks of all folds and score them, each class by itself."""
    files = validation.pool()
    for name in validation.classes:
        several = len(validation.classes) > 1
        work = validation.work / name if several else validation.work
        command = [
            sys.executable,
            str(TOOLS / 'analysis_tools' / 'eval_froc.py'),
            *files,
            '--bootstrap',
            str(bootstraps),
            '--json',
            str(work / 'scores.json'),
            '--errors',
            str(work / 'errors.csv'),
            '--plot',
            str(work / 'froc.png'),
            *(['--class', name] if several else []),
        ]
        if subprocess.run(command).returncode:
            raise UsageError(f'the pooled marks in {validation.work} were not scored, see above')
        print(f'Scores, errors and curve of all folds are in {work}')


def main() -> None:
    args = parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('stopped'))  # so that processes are ended
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
    validation = CrossValidation(
        setup, args.work_dir or Path('work_dirs') / f'{Path(args.config).stem}_cv'
    )
    folds = args.folds or validation.subsets
    unknown = sorted(set(folds) - set(validation.subsets))
    if unknown:
        raise UsageError(f'--folds {unknown}: the data has the subsets {validation.subsets}')
    validation.claim()
    errors = run_folds(validation, folds, args.workers)
    if errors:
        raise UsageError(
            f'the folds {sorted(errors)} ended with an error, see above. Give the '
            'same command again when it is put right: what is finished stays'
        )
    missing = validation.unfinished()
    if missing:
        print(f'Not scored yet: the folds {missing} are not finished')
    else:
        score(validation, args.bootstrap)


if __name__ == '__main__':
    run_tool(main)
