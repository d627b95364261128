import subprocess
import sys

import pytest

TOOL = """
import atexit, sys
import torch.distributed as dist
from mmdet3d_medical.cli.processes import leave

class Late:
    def __del__(self):
        print('the interpreter ended')

late = Late()
atexit.register(print, 'handled')
if sys.argv[1:]:
    dist.init_process_group('gloo', init_method=f'file://{sys.argv[1]}', rank=0, world_size=1)
leave()
print('went on')
"""


@pytest.mark.parametrize(
    ('store', 'printed'),
    [
        (['store'], ['handled']),
        ([], ['went on', 'handled', 'the interpreter ended']),
    ],
    ids=['gloo', 'alone'],
)
def test_only_a_process_that_talks_over_gloo_ends_before_the_interpreter(store, printed, tmp_path):
    process = subprocess.run(
        [sys.executable, '-c', TOOL, *(tmp_path / name for name in store)],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == printed
