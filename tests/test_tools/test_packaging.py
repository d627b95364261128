import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = (
    'mmdet3d_medical',
    'configs',
    'tools',
    'requirements',
    'setup.py',
    'pyproject.toml',
    'MANIFEST.in',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'model-index.yml',
)


@pytest.fixture
def checkout(tmp_path):
    """A copy to build in: a build leaves files behind, and reads what an earlier one left."""
    copy = tmp_path / 'checkout'
    copy.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, copy / name, ignore=shutil.ignore_patterns('__pycache__', '.mim')
            )
        else:
            shutil.copy(ROOT / name, copy)
    return copy


def build(what: str, source: Path, out: Path) -> Path:
    """Build as pip does, but with the tools of this environment."""
    code = f'from setuptools import build_meta; build_meta.build_{what}({str(out)!r})'
    process = subprocess.run(
        [sys.executable, '-c', code],
        cwd=source,
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': ''},
    )
    assert process.returncode == 0, process.stderr
    return next(out.glob('*.tar.gz' if what == 'sdist' else '*.whl'))


def files_below(folder: Path) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in folder.rglob('*')
        if path.is_file() and path.suffix in ('.py', '.yml', '.txt', '.sh')
    }


def test_wheel_from_source_distribution_has_configs_and_tools(checkout, tmp_path):
    archive = build('sdist', checkout, tmp_path)
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / 'unpacked', filter='data')
    wheel = build('wheel', next((tmp_path / 'unpacked').iterdir()), tmp_path)
    shipped = set(zipfile.ZipFile(wheel).namelist())
    wanted = files_below(ROOT / 'configs') | files_below(ROOT / 'tools') | {'model-index.yml'}
    assert {f'mmdet3d_medical/.mim/{name}' for name in wanted} <= shipped
    package = {name for name in files_below(ROOT / 'mmdet3d_medical') if '.mim' not in name}
    assert package <= shipped
    assert not any(name.startswith(('tests/', 'configs/', 'tools/')) for name in shipped)


def test_editable_installation_links_to_what_is_edited(checkout, tmp_path):
    build('editable', checkout, tmp_path)
    mim = checkout / 'mmdet3d_medical' / '.mim'
    for name in ('configs', 'tools', 'model-index.yml'):
        assert (mim / name).is_symlink()
        assert (mim / name).resolve() == (checkout / name).resolve()
        assert not os.readlink(mim / name).startswith('/')
    build('editable', checkout, tmp_path)  # again, over the links of the first time
    assert (mim / 'configs').is_symlink()


@pytest.fixture
def installed(checkout, tmp_path):
    """Run the command of an unpacked wheel in an empty folder; gives what it prints."""
    site, empty = tmp_path / 'site', tmp_path / 'empty'
    zipfile.ZipFile(build('wheel', checkout, tmp_path)).extractall(site)
    empty.mkdir()
    env = {**os.environ, 'PYTHONPATH': str(site), 'OMP_NUM_THREADS': '1'}

    def run(*arguments: str) -> str:
        process = subprocess.run(
            [sys.executable, *arguments], cwd=empty, capture_output=True, text=True, env=env
        )
        assert process.returncode == 0, process.stderr
        return process.stdout

    assert str(site) in run('-c', 'import mmdet3d_medical; print(mmdet3d_medical.__file__)')
    return run


def test_from_phantoms_to_a_score_with_nothing_but_the_wheel(installed):
    """The shipped configs are found by the names that they have in a checkout."""
    command = ['-m', 'mmdet3d_medical']
    config = 'configs/retina3d/retina3d_fpn_phantom.py'
    small = ['--shrink', '--cfg-options']
    installed(*command, 'make-phantom', 'raw', '--scans', '10', '--shape', '48', '48', '48')
    installed(
        *command, 'convert-luna16', 'raw', '--out', 'data/phantom', '--spacing', '4', '4', '4'
    )
    installed(*command, 'train', config, *small, 'train_cfg.max_iters=1')
    checkpoint = 'work_dirs/retina3d_fpn_phantom/iter_1.pth'
    installed(*command, 'test', config, checkpoint, '--out', 'marks.csv', '--shrink')
    scores = installed(*command, 'eval-froc', 'marks.csv', '--annotations', 'raw/annotations.csv')
    assert 'CPM' in scores


def test_the_wheel_has_the_console_script(checkout, tmp_path):
    wheel = zipfile.ZipFile(build('wheel', checkout, tmp_path))
    name = next(name for name in wheel.namelist() if name.endswith('entry_points.txt'))
    assert 'mmdet3d-medical = mmdet3d_medical.cli:main' in wheel.read(name).decode()
