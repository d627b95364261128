"""Errors of the command line tools."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from mmdet3d_medical.utils.errors import UsageError

from .processes import leave

PACKAGE = Path(__file__).parents[1]
REGISTRY = Path('mmengine', 'registry', 'build_functions.py')
INTERRUPTED = 130  # as shells have it for Ctrl-C
FILE_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
OF_STORAGE = {
    errno.ENOSPC: 'the disk is full',
    errno.EDQUOT: 'your quota is used up',
    errno.EROFS: 'the disk is read-only',
    errno.ENAMETOOLONG: 'the name is too long',
    errno.ELOOP: 'symbolic links point at each other',
    errno.EIO: 'the disk has an error',
}
NO_MEMORY = ('not enough memory', "can't allocate memory", 'CUDA out of memory')
IN_WORKER = re.compile(r'Caught \w+ in DataLoader worker process')
WORKER_ENDED = re.compile(r'DataLoader worker \(pid.*\) (exited unexpectedly|is killed by)')
LAST_FRAME = re.compile(
    r'\n  File "(?P<file>.+?)", line \d+, in .+?\n    (?P<line>.+?)\n'
    r'(?:    .*?\n)*(?P<kind>[\w.]+)(?:: (?P<message>(?:.|\n)*)|\s*$)'
)
SIGNATURE = re.compile('unexpected keyword argument|missing \\d+ required')
OWN = ('ValueError', 'TypeError', 'KeyError', 'OSError')
TOLD = {'UsageError', 'FloatingPointError', *(kind.__name__ for kind in FILE_ERRORS)}


def run_tool(main: Callable[[], int | None]) -> None:
    """Run a tool; what its user can put right ends it with a message, not with a traceback.

    That is a :class:`UsageError`, a file that is missing or in the way, a full disk, too little
    memory, a loss that is not finite, a ``ValueError``, ``TypeError`` or ``OSError`` that this
    package raised on purpose, about data or a config, a name in a config that is not registered
    and a value that a part does not take; in a worker process too. The exit status is then 2, and
    130 after Ctrl-C.
    """
    try:
        status = main()
    except BrokenPipeError:  # whoever read what is printed has ended, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:
        message = _message_of(error)
        if message is None:
            raise
        print(f'error: {message}', file=sys.stderr)
        sys.exit(2)
    if status:
        sys.exit(status)
    leave()


def _message_of(error: Exception) -> str | None:
    """What to tell the user; None about a bug."""
    text = str(error)
    if IN_WORKER.search(text):
        return _of_worker(text)
    if _is_of_memory(error):
        return _of_memory(error)
    if WORKER_ENDED.search(text):
        return (
            'a worker process of a data loader was ended, as systems do when memory runs '
            'short: lower num_workers or batch_size of the data loader'
        )
    if isinstance(error, OSError) and error.errno in OF_STORAGE:
        return f'{_file_of(error)}: {OF_STORAGE[error.errno]}'
    if isinstance(error, (UsageError, FloatingPointError, *FILE_ERRORS)):
        return text
    if isinstance(error, AttributeError) and "'ConfigDict' object has no attribute" in text:
        return f'the config has no {text.rpartition("attribute ")[2]}'
    if isinstance(error, (ValueError, TypeError, KeyError, OSError)):
        frames = traceback.extract_tb(error.__traceback__)
        if _raised_on_purpose(frames[-1].filename, frames[-1].line):
            # A KeyError as a string is the repr of its message.
            return error.args[0] if isinstance(error, KeyError) else text
        return _of_part(error)
    return None


def _is_of_memory(error: Exception) -> bool:
    torch = sys.modules.get('torch')  # where it is not imported, nothing of it was raised
    kinds = (MemoryError, torch.OutOfMemoryError) if torch else MemoryError
    return isinstance(error, kinds) or any(part in str(error) for part in NO_MEMORY)


def _of_memory(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [''])[0]
    return (
        f'out of memory{": " * bool(first)}{first} - lower batch_size or num_workers of the '
        'data loader, or the patch or tile size'
    )


def _of_worker(text: str) -> str | None:
    """What to tell the user about an error whose traceback a worker process sent."""
    frame = LAST_FRAME.search(text, text.rindex('\n  File "'))
    if frame is None:
        return None
    kind, message = frame['kind'].rpartition('.')[-1], (frame['message'] or '').strip()
    full = next((what for what in map(os.strerror, OF_STORAGE) if what in message), None)
    if kind == 'OSError' and full:
        return message
    if 'MemoryError' in kind or any(part in message for part in NO_MEMORY):
        return _of_memory(MemoryError(message))
    told = kind in TOLD or kind in OWN and _raised_on_purpose(frame['file'], frame['line'])
    return message if told else None


def _of_part(error: Exception) -> str | None:
    """About arguments in a config that a part does not take; None about a bug within a part.

    A part of another package refuses values in its constructor, ours do so on purpose.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    built = [
        number
        for number, frame in enumerate(frames)
        if _is_registry(frame.f_code.co_filename) and 'obj_cls' in frame.f_locals
    ]
    if not built or any(frame.f_code.co_name != '__init__' for frame in frames[built[-1] + 1 :]):
        return None
    if PACKAGE in Path(frames[-1].f_code.co_filename).parents and not SIGNATURE.search(str(error)):
        return None
    part = frames[built[-1]].f_locals['obj_cls']
    return f'{getattr(part, "__name__", part)} in the config: {error}'


def _file_of(error: OSError) -> str:
    """The file that an error is about, which errors of writing do not say."""
    if error.filename:
        return str(error.filename)
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        for value in frame.f_locals.values():
            if isinstance(value, io.IOBase) and isinstance(getattr(value, 'name', None), str):
                return value.name
    return 'a file cannot be written'


def _is_registry(file: str) -> bool:
    """Whether a file is the one in which mmengine builds what configs name."""
    return Path(file).parts[-3:] == REGISTRY.parts


def _raised_on_purpose(file: str, line: str | None) -> bool:
    """Whether a ``raise`` statement of this package or of mmengine's registry gave an error."""
    path = Path(file)
    return (PACKAGE in path.parents or _is_registry(file)) and (line or '').startswith('raise ')
