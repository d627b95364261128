"""Cases that depend on what is imported run in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmdet3d_medical.utils import compat

# None in sys.modules is how Python marks a module as absent, so this holds for any mmcv.
WITHOUT_OPS = "import sys; sys.modules['mmcv._ext'] = None\n"


def run_python(code: str, path: Path | str = '') -> subprocess.CompletedProcess:
    env = {**os.environ, 'PYTHONPATH': str(path), 'OMP_NUM_THREADS': '1'}
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], env=env, capture_output=True, text=True
    )


def install_fake(path: Path, distribution: str) -> None:
    info = path / f'{distribution.replace("-", "_")}-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n')


def test_mmdet_imports_where_the_operators_are_missing():
    process = run_python(
        WITHOUT_OPS
        + """
import mmdet3d_medical
import mmdet.models
import mmcv._ext
from mmcv.ops import nms
from mmcv.utils.ext_loader import check_ops_exist
print(type(mmcv._ext).__name__, check_ops_exist(), hasattr(mmcv._ext, '__path__'))
"""
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == ['MissingOps', 'False', 'False']


def test_calling_a_missing_operator_says_which_and_why():
    process = run_python(
        WITHOUT_OPS
        + """
import mmdet3d_medical
import torch
from mmcv.ops import nms
nms(torch.rand(3, 4), torch.rand(3), 0.5)
"""
    )
    assert process.returncode == 1
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: mmcv was installed without compiled operators')
    assert '`nms`' in last


def test_operators_that_are_present_stay(tmp_path):
    (tmp_path / '_ext.py').write_text("name = 'the real one'\n")
    process = run_python(f"""
import mmcv
mmcv.__path__.append({str(tmp_path)!r})
import mmdet3d_medical
import mmcv._ext
print(mmcv._ext.name)
""")
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == 'the real one'


def test_an_old_distribution_beside_the_new_one_is_refused(tmp_path):
    install_fake(tmp_path, 'mmcv-full')
    process = run_python('import mmdet3d_medical', tmp_path)
    assert process.returncode == 1
    assert 'pip uninstall -y mmcv-full' in process.stderr
    assert 'pip install --force-reinstall --no-deps onedl-mmengine' in process.stderr


def test_a_missing_distribution_is_named(monkeypatch):
    monkeypatch.setattr(compat, 'is_distributed', lambda name: name == 'onedl-mmcv')
    with pytest.raises(ImportError, match='pip install onedl-mmengine onedl-mmdetection'):
        compat.check_distributions()


def test_distributions_are_found_by_their_own_names():
    assert compat.is_distributed('onedl-mmcv')
    assert not compat.is_distributed('mmcv')
