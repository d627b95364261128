"""List the detectors that come with the package, with what they were measured to find.

Example:
    mmdet3d-medical models
"""

from argparse import ArgumentParser


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('--json', action='store_true', help='print all facts but the config')
