"""Types of command line arguments, which refuse wrong values before any work is done."""

from argparse import Action, ArgumentParser, ArgumentTypeError
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path

from mmdet3d_medical.utils.files import check_writable


class DictAction(Action):
    """mmengine's ``KEY=VALUE`` options, also with blanks, and with dictionaries as in Python."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Parse the options, or end with status 2 and what is wrong."""
        from mmengine.config import DictAction

        for value in values:
            if not value.partition('=')[0] or '=' not in value:
                parser.error(f'{option_string}: expected KEY=VALUE, found {value!r}')
        texts = [value for value in values if _is_text(value.partition('=')[2])]
        nested = [value for value in values if _has_dictionaries(value.partition('=')[2])]
        plain = [value for value in values if value not in texts + nested]
        try:
            parse = DictAction(self.option_strings, self.dest, nargs='+')
            parse(parser, namespace, plain, option_string)
        except AssertionError as error:  # brackets that do not match
            parser.error(f'{option_string}: {error}')
        for value in texts:
            key, _, text = value.partition('=')
            getattr(namespace, self.dest)[key] = text.strip().strip('\'"')
        for value in nested:
            key, _, text = value.partition('=')
            try:
                getattr(namespace, self.dest)[key] = literal_eval(text)
            except (SyntaxError, ValueError):
                parser.error(
                    f'{option_string}: dictionaries are written as in Python, '
                    f"KEY=\"[{{'type': 'Name'}}]\", found {value!r}"
                )


def _is_text(text: str) -> bool:
    """Whether a value is text with blanks, which mmengine deletes, and no list."""
    text = text.strip()
    return ' ' in text and text[0] not in '{[(' and ',' not in text


def _has_dictionaries(text: str) -> bool:
    """Whether a value has some, which mmengine reads as text up to the first comma."""
    return '{' in text and text[0] in '{[('


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
