"""What ``mmdet3d-medical make-phantom`` does."""

from argparse import Namespace

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmdet3d_medical.datasets.phantom import PhantomWriter, phantom_settings


def main(args: Namespace) -> None:
    settings = phantom_settings(
        args.difficulty, shape=tuple(args.shape), spacing=tuple(args.spacing)
    )
    writer = PhantomWriter(args.out, settings, args.seed)
    columns = TextColumn('phantom'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns) as progress:
        task = progress.add_task('scans', total=args.scans)
        done = writer.write(args.scans, args.workers, lambda count: progress.advance(task, count))
    print(
        f'{args.out}: {done["scans"]} scans ({done["made"]} new, {done["healthy"]} without a '
        f'nodule), {done["nodules"]} nodules, {done["findings"]} excluded findings'
    )
