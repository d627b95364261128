"""A data set, a config and the two tools, for tests that run them."""

import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmdet3d_medical.datasets import write_index
from mmdet3d_medical.structures import VolumeGeometry

TOOLS = Path(__file__).parents[2] / 'tools'
SHAPE = (24, 28, 32)


def make_data(root: Path, annotated: bool = True) -> Path:
    """Ten small scans, one of each subset, with a bright cube in all but the last; marks of
    one of them."""
    (root / 'volumes').mkdir(parents=True)
    geometry = VolumeGeometry((-10.0, 5.0, 2.0), (2.0,) * 3, (1, 0, 0, 0, 1, 0, 0, 0, 1), SHAPE)
    rng = np.random.default_rng(0)
    scans = []
    for number in range(10):
        voxels = rng.normal(-850, 20, SHAPE).astype(np.int16)
        voxels[10:14, 8:12, 16:20] = 40
        np.save(root / 'volumes' / f'scan{number}.npy', voxels)
        center = geometry.index_to_world(np.array([[11.5, 9.5, 17.5]]))[0].tolist()
        lesions = [dict(center=center, diameter=8.0)] if annotated and number < 9 else []
        scans.append(
            dict(
                scan_id=f'scan{number}',
                subset=number,
                annotated=annotated,
                volume=f'volumes/scan{number}.npy',
                geometry=geometry.to_dict(),
                instances=lesions,
            )
        )
    write_index(
        root / 'index.json', dict(classes=['nodule'], spacing=[2.0] * 3, settings={}, scans=scans)
    )
    (root / 'marks.csv').write_text(
        'seriesuid,coordX,coordY,coordZ,probability,diameter_mm\n'
        f'scan1,{",".join(map(str, center))},0.9,8.0\n'
    )
    return root


@pytest.fixture(scope='session')
def data_root(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp('scans') / 'data')


@pytest.fixture
def unannotated(tmp_path) -> Path:
    return make_data(tmp_path / 'unannotated', annotated=False)


@pytest.fixture
def config(tmp_path, data_root) -> Path:
    """A config that trains four iterations and saves a checkpoint every other."""
    path = tmp_path / 'tiny.py'
    path.write_text(f"""
_base_ = 'mmdet3d_medical::retina3d/retina3d_fpn_phantom.py'
train_dataloader = dict(dataset=dict(data_root={str(data_root)!r}))
val_dataloader = dict(dataset=dict(data_root={str(data_root)!r}))
test_dataloader = dict(dataset=dict(data_root={str(data_root)!r}))
train_cfg = dict(max_iters=4, val_interval=4)
default_hooks = dict(checkpoint=dict(interval=2, max_keep_ckpts=-1))
""")
    return path


@pytest.fixture
def run_tool(monkeypatch, tmp_path):
    """Run ``tools/<name>.py`` with arguments in an empty folder; gives the exit status."""
    folder = tmp_path / 'cwd'
    folder.mkdir()
    monkeypatch.chdir(folder)
    environment, scopes = dict(os.environ), dict(DefaultScope._instance_dict)

    def run(name: str, *args: object) -> int:
        monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
        try:
            runpy.run_path(str(TOOLS / f'{name}.py'), run_name='__main__')
        except SystemExit as exit:
            return exit.code or 0
        return 0

    yield run
    os.environ.clear()
    os.environ.update(environment)
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(scopes)
    MMLogger._instance_dict.clear()  # they write to the output captured in this test


@pytest.fixture
def train_a_step(run_tool, config):
    """Function that trains the config for a step in a work directory, with more options."""

    def train(work_dir: object, *options: str) -> None:
        assert (
            run_tool(
                'train',
                config,
                '--shrink',
                '--work-dir',
                work_dir,
                '--cfg-options',
                'train_cfg.max_iters=1',
                *options,
            )
            == 0
        )

    return train
