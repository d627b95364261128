"""Our configs as bases of configs elsewhere, found through the installed package."""

import pytest
from mmengine.config import Config
from mmengine.hub import get_config

import mmdet3d_medical  # noqa: F401  (makes the package known to mmengine)

PHANTOM = 'mmdet3d_medical::retina3d/retina3d_fpn_phantom.py'


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = '{PHANTOM}'\ntrain_cfg = dict(max_iters=7)\n")
    return Config.fromfile(path)


def test_a_config_elsewhere_inherits_ours(config):
    assert config.train_cfg.max_iters == 7
    assert config.model.type == 'DenseDetector3D'


def test_types_of_the_base_carry_our_scope(config):
    assert config.model._scope_ == 'mmdet3d_medical'


def test_a_base_without_a_metafile_is_found(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'mmdet3d_medical::_base_/default_runtime.py'\n")
    assert Config.fromfile(path).default_scope == 'mmdet3d_medical'


def test_get_config_finds_ours():
    assert get_config(PHANTOM).model.type == 'DenseDetector3D'
