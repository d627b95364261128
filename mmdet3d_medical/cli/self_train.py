"""What ``mmdet3d-medical self-train`` does."""

import shlex
import signal
import sys
from argparse import Namespace
from pathlib import Path

from mmdet3d_medical.apis.self_training import SelfTraining
from mmdet3d_medical.apis.semi import run_name
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.processes import BusyError

from .setup import setup_of


def main(args: Namespace) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('stopped'))  # so that processes are ended
    if not args.checkpoint.is_file():
        raise UsageError(
            f'There is no checkpoint {args.checkpoint} (looked in {Path.cwd()}): '
            'train a detector on the labeled scans first, with mmdet3d-medical train'
        )
    setup = setup_of(args)
    work = args.work_dir or Path('work_dirs') / f'{run_name(args.config, args.semi)}_rounds'
    try:
        last = SelfTraining(setup, args.checkpoint, work).run(args.rounds)
    except BusyError:
        raise UsageError(f'another process works in {work}') from None
    command = setup.test_command(last, work, Path('marks.csv'), {})
    print(f'Test it: {shlex.join(command)}')
