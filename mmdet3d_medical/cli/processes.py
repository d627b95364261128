"""The end of one of several processes."""

import atexit
import os
import sys


def leave() -> None:
    """End this process with status 0 if it is one of several that talk over gloo, else return.

    To be called when its work is done. Where the interpreter ends while threads of gloo still
    hold tensors, torch aborts now and then (https://github.com/pytorch/pytorch/issues/190489),
    and a run that went well would count as failed. So it ends before, after its exit
    handlers.
    """
    torch = sys.modules.get('torch')
    if torch is None:
        return
    dist = torch.distributed
    if dist.is_available() and dist.is_initialized() and dist.get_backend() == 'gloo':
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
