from .arguments import at_least, out_file, picture
from .checkpoint import check_weights, check_work_dir, load_weights, put_weights, save_weights
from .config import load_config, set_amp, set_marks_file, set_resume, set_seed
from .errors import UsageError, run_tool
from .shrink import shrink

__all__ = ['UsageError', 'at_least', 'check_weights', 'check_work_dir', 'load_config',
           'load_weights', 'out_file', 'picture', 'put_weights', 'run_tool', 'save_weights',
           'set_amp', 'set_marks_file', 'set_resume', 'set_seed', 'shrink']
