"""Types of command line arguments, which refuse wrong values before any work is done."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from mmdet3d_medical.utils.files import check_writable


def at_least(least: int) -> Callable[[str], int]:
    """The type of integers that are not less than ``least``."""

    def integer(text: str) -> int:
        value = int(text)
        if value < least:
            raise ArgumentTypeError(f'expected an integer of at least {least}, found {text}')
        return value

    return integer


def out_file(path: str) -> str:
    """The type of files to write: the folder is made, and it is tried whether they can be."""
    try:
        check_writable(path)
    except OSError as error:
        raise ArgumentTypeError(f'cannot write {path}: {error.strerror}') from None
    return path


def picture(path: str) -> str:
    """The type of picture files to write, see :func:`out_file`: of a format matplotlib knows."""
    formats = Figure().canvas.get_supported_filetypes()
    suffix = Path(path).suffix
    if suffix and suffix[1:].lower() not in formats:
        raise ArgumentTypeError(f'expected a picture file (.{", .".join(formats)}), found {path}')
    return out_file(path)
