"""How all converters run."""

import sys
from argparse import Namespace
from collections.abc import Callable

from mmdet3d_medical.datasets.converters.cache import ConvertSettings
from mmdet3d_medical.datasets.converters.report import ConversionReport
from mmdet3d_medical.parallel import Workers, make_workers


def parse_settings(args: Namespace) -> ConvertSettings:
    """Settings from the parsed options.

    Raises:
        ValueError: If the spacing is neither three numbers nor 'native'.
    """
    spacing = None
    if args.spacing != ['native']:
        try:
            spacing = tuple(float(value) for value in args.spacing)
        except ValueError:
            raise ValueError(
                "--spacing takes three numbers Z Y X in mm or 'native', found "
                + ' '.join(args.spacing)
            ) from None
    return ConvertSettings(
        spacing=spacing,
        crop=args.crop,
        margin=args.margin,
        instances=getattr(args, 'instances', 'auto'),
        classes=tuple(sorted(getattr(args, 'classes', ()))),
        outside=getattr(args, 'outside_lungs', None),
        dilation=getattr(args, 'lung_dilation', 10),
        storage=args.storage,
    )


def run(convert: Callable[[ConvertSettings, Workers], ConversionReport], args: Namespace) -> int:
    """Convert and report.

    Returns:
        Exit code: 0, 1 if scans failed, 2 if nothing could be converted.
    """
    try:
        settings = parse_settings(args)
        workers = make_workers(args.executor, args.workers, args.slurm_options, args.out)
        report = convert(settings, workers)
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    report.print()
    return 1 if report.failures else 0
