import subprocess
import sys

from mmdet3d_medical.apis.processes import leave

GLOO = """
import atexit, sys
import torch.distributed as dist
from mmdet3d_medical.apis.processes import leave

class Late:
    def __del__(self):
        print('the interpreter ended')

late = Late()
atexit.register(print, 'handled')
dist.init_process_group('gloo', init_method=f'file://{sys.argv[1]}', rank=0, world_size=1)
leave()
print('went on')
"""


def test_a_process_that_talks_over_gloo_ends_before_the_interpreter(tmp_path):
    process = subprocess.run([sys.executable, '-c', GLOO, tmp_path / 'store'],
                             capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout == 'handled\n'


def test_others_go_on():
    leave()
