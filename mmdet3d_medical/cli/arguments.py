"""Types of command line arguments, which refuse wrong values before any work is done."""

import re
from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmdet3d_medical.utils.files import check_writable

BLANK_WITHIN = re.compile(r'[^\s,()[\]]\s+[^\s,()[\]]')


class DictAction(Action):
    """mmengine's ``KEY=VALUE`` options, also with blanks, and with dictionaries as in Python."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Parse the options, or end with status 2 and what is wrong."""
        options = dict(getattr(namespace, self.dest) or {})
        for value in values:
            key, equals, text = value.partition('=')
            if not key or not equals:
                parser.error(f'{option_string}: expected KEY=VALUE, found {value!r}')
            try:
                options[key] = _value_of(text.strip())
            except ValueError as error:
                parser.error(f'{option_string}: {error}, found {value!r}')
        setattr(namespace, self.dest, options)


def _value_of(text: str) -> Any:
    """The value that a text stands for, where mmengine deletes blanks, and cuts dictionaries.

    Raises:
        ValueError: If it is none.
    """
    is_list = text[:1] in ('{', '[', '(') or ',' in text
    if is_list and '{' in text:
        try:
            return literal_eval(text)
        except (SyntaxError, ValueError):
            example = """KEY="[{'type': 'Name'}]\""""
            raise ValueError(f'dictionaries are written as in Python, {example}') from None
    if is_list and BLANK_WITHIN.search(text):
        raise ValueError('lists take no blanks within a value: name it without them')
    return _read_by_mmengine(text) if is_list or ' ' not in text else text.strip('\'"')


def _read_by_mmengine(text: str) -> Any:
    from mmengine.config import DictAction

    found = Namespace()
    try:
        DictAction(['--options'], 'options')(ArgumentParser(), found, [f'value={text}'])
    except AssertionError as error:  # brackets that do not match
        raise ValueError(str(error)) from None
    return found.options['value']


def add_config_options(parser: ArgumentParser, where: str = '') -> None:
    """``--cfg-options``: values to change in the config."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help=f'values to change in the config{where}, e.g. train_cfg.max_iters=1000',
    )


def add_trust_option(parser: ArgumentParser) -> None:
    """The option to read checkpoints that hold more than weights and plain data."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read checkpoints that hold more than weights and plain data: THEY '
        'RUN CODE on this computer, so only those of people you trust',
    )


def add_executor_options(parser: ArgumentParser) -> None:
    """``--executor`` and ``--slurm-options``: what works on the scans."""
    parser.add_argument(
        '--executor',
        default='local',
        metavar='local|dask:ADDRESS|slurm',
        help='processes of this machine (default), workers of the Dask scheduler that listens at '
        'ADDRESS, or jobs of SLURM; all machines must see the same files by the same paths',
    )
    parser.add_argument(
        '--slurm-options',
        nargs='+',
        default=(),
        metavar='KEY=VALUE',
        help='for sbatch: partition, account, qos, constraint, gres, exclude, cpus_per_task, '
        'mem_gb, gpus_per_node, timeout_min (default: 120), array_parallelism (jobs at once, '
        'default: 256); scans_per_job (default: 50); cluster=local to try it without SLURM',
    )


def add_semi_option(parser: ArgumentParser) -> None:
    """``--semi``: fragments that make a detector's config semi-supervised."""
    parser.add_argument(
        '--semi',
        nargs='+',
        default=(),
        metavar='FRAGMENT',
        help='make the config of a detector semi-supervised: files of configs/_base_/semi and '
        'configs/_base_/methods, or their names, such as luna16 focalmix',
    )


def at_least(least: int) -> Callable[[str], int]:
    """The type of integers that are not less than ``least``."""

    def integer(text: str) -> int:
        value = int(text)
        if value < least:
            raise ArgumentTypeError(f'expected an integer of at least {least}, found {text}')
        return value

    return integer


def positive(text: str) -> float:
    """The type of finite numbers above 0."""
    value = float(text)
    if not 0 < value < float('inf'):
        raise ArgumentTypeError(f'expected a number above 0, found {text}')
    return value


def out_file(path: str) -> str:
    """The type of files to write: the folder is made, and it is tried whether they can be."""
    try:
        check_writable(path)
    except OSError as error:
        raise ArgumentTypeError(f'cannot write {path}: {error.strerror}') from None
    return path


def picture(path: str) -> str:
    """The type of picture files to write, see :func:`out_file`: of a format matplotlib knows."""
    from matplotlib.figure import Figure

    formats = Figure().canvas.get_supported_filetypes()
    suffix = Path(path).suffix
    if suffix and suffix[1:].lower() not in formats:
        raise ArgumentTypeError(f'expected a picture file (.{", .".join(formats)}), found {path}')
    return out_file(path)
