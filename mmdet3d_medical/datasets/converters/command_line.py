"""Options that all converters share."""
import argparse
import os

from .cache import ConvertSettings


def add_convert_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--out``, ``--spacing``, ``--crop``, ``--margin`` and ``--workers``."""
    parser.add_argument('--out', required=True, metavar='OUT_DIR',
                        help='folder for volumes/*.npy and index.json')
    parser.add_argument('--spacing', nargs='+', default=['native'], metavar='MM',
                        help="voxel size Z Y X in mm, or 'native' (default) for each scan's own")
    parser.add_argument('--crop', choices=('lungs', 'none'), default='none',
                        help='cut to the bounding box of the lungs (default: none)')
    parser.add_argument('--margin', type=float, default=10.0, metavar='MM',
                        help='kept around the lungs (default: 10 mm)')
    parser.add_argument('--workers', type=int, default=max(1, (os.cpu_count() or 2) // 2),
                        help='processes (default: half the cores)')


def parse_settings(args: argparse.Namespace) -> ConvertSettings:
    """Settings from the parsed options.

    Raises:
        ValueError: If the spacing is neither three numbers nor 'native'.
    """
    spacing = None
    if args.spacing != ['native']:
        try:
            spacing = tuple(float(value) for value in args.spacing)
        except ValueError:
            raise ValueError("--spacing takes three numbers Z Y X in mm or 'native', found "
                             + ' '.join(args.spacing)) from None
    return ConvertSettings(spacing=spacing, crop=args.crop, margin=args.margin,
                           instances=getattr(args, 'instances', 'auto'))
