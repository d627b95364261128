from ..inference import Findings, Lesion
from ..inference.inferencer import LesionInferencer
from ..utils.checkpoints import trust_checkpoints
from ..utils.errors import UsageError
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
from .runner import ShortStartRunner
from .shrink import shrink

__all__ = [
    'Findings',
    'Lesion',
    'LesionInferencer',
    'ShortStartRunner',
    'UsageError',
    'check_resumable',
    'check_start',
    'check_weights',
    'check_work_dir',
    'load_config',
    'put_weights',
    'save_weights',
    'set_amp',
    'set_marks_file',
    'set_resume',
    'set_seed',
    'set_test_data',
    'shrink',
    'trust_checkpoints',
]
