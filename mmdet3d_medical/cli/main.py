"""Finds a subcommand, reads its options, and runs it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import import_module

from mmdet3d_medical.version import __version__

from .errors import run_tool

PROGRAM = 'mmdet3d-medical'
GROUPS = {
    'Use': ('predict', 'models', 'send', 'pack'),
    'Data': (
        'convert-luna16',
        'convert-dicom',
        'convert-volumes',
        'convert-node21-crops',
        'make-splits',
        'check-dataset',
        'browse-dataset',
        'contact-sheet',
        'make-phantom',
        'make-phantom-download',
    ),
    'Training and testing': ('train', 'test', 'self-train', 'cross-validate'),
    'Results': ('eval-froc', 'report', 'merge-marks', 'draw-detections'),
    'Weights': ('export', 'focalmix-to-plain', 'inflate-2d', 'monai-to-mmdet3d'),
    'Insight': ('estimate-cost', 'diagnose-guesses', 'draw-mixup', 'draw-focal-loss'),
}
COMMANDS = tuple(command for group in GROUPS.values() for command in group)


def main(command: str | None = None) -> None:
    """Run ``mmdet3d-medical`` on the arguments of this process.

    Args:
        command: The subcommand; by default the first argument.
    """
    arguments = sys.argv[1:]
    if command is None:
        if not arguments or arguments[0] in ('-h', '--help'):
            print(overview(), end='')
            return
        if arguments[0] == '--version':
            print(__version__)
            return
        command, *arguments = arguments
        if command not in COMMANDS:
            print(f'error: there is no command {command!r}\n\n{overview()}', file=sys.stderr)
            sys.exit(2)
    args = make_parser(command).parse_args(arguments)
    run_tool(lambda: import_module(f'.{_module(command)}', __package__).main(args))


def make_parser(command: str) -> ArgumentParser:
    """The parser of a subcommand."""
    options = _options(command)
    parser = ArgumentParser(
        prog=f'{PROGRAM} {command}',
        description=options.__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
    options.add_arguments(parser)
    return parser


def parse(command: str, arguments: Sequence[str]) -> Namespace:
    """Options of a subcommand, as on the command line."""
    return make_parser(command).parse_args(arguments)


def overview() -> str:
    """All subcommands by group, a line for each."""
    lines = [f'usage: {PROGRAM} COMMAND ... (COMMAND --help tells its options)']
    for group, commands in GROUPS.items():
        lines += ['', f'{group}:']
        lines += [f'  {command:22}{summary(command)}' for command in commands]
    return '\n'.join(lines) + '\n'


def summary(command: str) -> str:
    """The first sentence about a subcommand."""
    return _options(command).__doc__.split('\n', 1)[0].rstrip('.')


def _options(command: str):
    return import_module(f'.options.{_module(command)}', __package__)


def _module(command: str) -> str:
    return command.replace('-', '_')
