"""What ``mmdet3d-medical cross-validate`` does."""

import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from mmdet3d_medical.apis.cross_validation import CrossValidation, run_folds
from mmdet3d_medical.apis.semi import run_name
from mmdet3d_medical.utils.errors import UsageError

from .setup import setup_of


def score(validation: CrossValidation, bootstraps: int) -> None:
    """Pool the marks of all folds and score them, each class by itself."""
    files = validation.pool()
    for name in validation.classes:
        several = len(validation.classes) > 1
        work = validation.work / name if several else validation.work
        command = [
            sys.executable,
            '-m',
            'mmdet3d_medical',
            'eval-froc',
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


def main(args: Namespace) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('stopped'))  # so that processes are ended
    setup = setup_of(args)
    validation = CrossValidation(
        setup, args.work_dir or Path('work_dirs') / f'{run_name(args.config, args.semi)}_cv'
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
