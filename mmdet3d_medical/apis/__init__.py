from ..utils.checkpoints import trust_checkpoints
from .arguments import DictAction, add_trust_option, at_least, out_file, picture, positive
from .checkpoint import (
    check_resumable,
    check_start,
    check_weights,
    check_work_dir,
    put_weights,
    save_weights,
)
from .config import (
    load_config,
    set_amp,
    set_marks_file,
    set_resume,
    set_seed,
    set_test_data,
)
from .errors import UsageError, run_tool
from .runner import ShortStartRunner
from .shrink import shrink

__all__ = [
    'DictAction',
    'ShortStartRunner',
    'UsageError',
    'add_trust_option',
    'at_least',
    'check_resumable',
    'check_start',
    'check_weights',
    'check_work_dir',
    'load_config',
    'out_file',
    'picture',
    'positive',
    'put_weights',
    'run_tool',
    'save_weights',
    'set_amp',
    'set_marks_file',
    'set_resume',
    'set_seed',
    'set_test_data',
    'shrink',
    'trust_checkpoints',
]
