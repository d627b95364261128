"""Steps put together from the costs of passes, which tests/test_utils/test_cost.py checks."""

import json
from pathlib import Path

import pytest

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils import register_all_modules
from mmdet3d_medical.utils.cost import forward_cost, training_cost

CONFIGS = Path(__file__).parents[2] / 'configs'
SUPERVISED = CONFIGS / 'retina3d/retina3d_fpn_phantom.py'
FOCALMIX = CONFIGS / 'focalmix/retina3d_fpn_phantom.py'
VOXELS = 32**3


@pytest.fixture
def estimate(run_tool):
    """Function that runs the tool and gives its numbers."""

    def run(*args) -> dict:
        assert run_tool('analysis_tools/estimate_cost', *args, '--json', 'cost.json') == 0
        return json.loads(Path('cost.json').read_text())

    return run


@pytest.fixture(scope='module')
def detector():
    register_all_modules(init_default_scope=False)
    return MODELS.build(load_config(str(SUPERVISED)).model)


def test_a_supervised_step(estimate, detector, capsys):
    numbers, trained = estimate(SUPERVISED), training_cost(detector, (8, 1, 32, 32, 32))
    step, weights = numbers['float32'], 4 * numbers['parameters']
    assert numbers['patch_flops'] == forward_cost(detector, (1, 1, 32, 32, 32)).flops
    assert step['flops'] == trained.flops and step['kept_bytes'] == trained.kept
    assert step['memory_bytes'] == trained.peak + 3 * weights + 4 * 8 * VOXELS + 1e9
    assert step['seconds'] == pytest.approx(trained.seconds(0.3 * 156e12, 0.3 * 1555e9))
    half = training_cost(detector, (8, 1, 32, 32, 32), amp=True)
    assert numbers['amp']['kept_bytes'] == half.kept
    assert numbers['amp']['seconds'] == pytest.approx(half.seconds(0.3 * 312e12, 0.3 * 1555e9))
    printed = capsys.readouterr().out
    assert '0.17 M parameters' in printed and 'a step: 8 labeled' in printed


def box_flops() -> int:
    """Of the boxes of a patch: one convolution of the branch and the last one, on three levels."""
    cells = 16**3 + 8**3 + 4**3
    return 2 * 27 * 16 * (16 + 2 * 6) * cells


def test_a_focalmix_step_has_the_passes_that_guess(estimate, detector, capsys):
    """4 labeled and 4 unlabeled patches, each of these in 4 views, the boxes of one view."""
    shape = (8, 1, 32, 32, 32)
    numbers, trained = estimate(FOCALMIX), training_cost(detector, shape, boxes_of=4)
    step = numbers['float32']
    assert step['flops'] == trained.flops + 4 * (4 * numbers['patch_flops'] - 3 * box_flops())
    whole = training_cost(detector, shape)
    assert whole.flops - trained.flops == 4 * 3 * box_flops()  # forward and two gradients
    assert step['kept_bytes'] == trained.kept
    supervised = estimate(SUPERVISED)['float32']
    mixed = 4 * 8 * VOXELS
    assert step['memory_bytes'] == supervised['memory_bytes'] + mixed - whole.peak + trained.peak
    assert step['seconds'] > supervised['seconds']
    assert 'a step: 4 labeled + 4 unlabeled in 4 views' in capsys.readouterr().out


def test_many_views_at_once_can_be_the_peak(estimate, detector):
    batch = '--batch', 1, 16, '--cfg-options', 'model.targets.views.num=8'
    one = estimate(FOCALMIX, *batch)['float32']
    all_at_once = estimate(FOCALMIX, *batch, 'model.targets.views.per_forward=8')['float32']
    assert one['flops'] == all_at_once['flops']
    guess = forward_cost(detector, (8 * 16, 1, 32, 32, 32), boxes_of=16).peak
    trained = training_cost(detector, (17, 1, 32, 32, 32), boxes_of=1).peak
    assert guess > trained
    rest = one['memory_bytes'] - trained
    assert all_at_once['memory_bytes'] == guess + rest


def test_what_the_command_line_says(estimate):
    base = estimate(SUPERVISED)['float32']
    fast = estimate(SUPERVISED, '--efficiency', 0.6, '--overhead', 0)['float32']
    assert fast['seconds'] == pytest.approx(base['seconds'] / 2)
    assert fast['memory_bytes'] == base['memory_bytes'] - 1e9
    eighth = estimate(SUPERVISED, '--batch', 1, 0)['float32']
    large = estimate(SUPERVISED, '--batch', 1, 0, '--patch', 64, 64, 64)['float32']
    assert base['flops'] == large['flops'] == 8 * eighth['flops']


def test_location_adds_channels(estimate, capsys):
    numbers = estimate(CONFIGS / 'deeplung/deeplung_dpn26_phantom.py')
    model = MODELS.build(load_config(str(CONFIGS / 'deeplung/deeplung_dpn26_phantom.py')).model)
    assert numbers['patch_flops'] == forward_cost(model, (1, 4, 32, 32, 32)).flops


def test_detectors_with_their_own_preprocessor(estimate, tmp_path, detector):
    path = tmp_path / 'own.py'
    path.write_text(
        f'_base_ = {str(SUPERVISED)!r}\nmodel = dict(data_preprocessor=dict('
        "_delete_=True, type='mmengine.BaseDataPreprocessor'))\n"
    )
    assert estimate(path)['patch_flops'] == forward_cost(detector, (1, 1, 32, 32, 32)).flops


def test_patches_without_a_size(run_tool, tmp_path, capsys):
    path = tmp_path / 'whole.py'
    path.write_text(
        f'_base_ = {str(SUPERVISED)!r}\ntrain_dataloader = dict(dataset=dict(pipeline=['
        "dict(type='LoadVolume'), dict(type='PackVolumeInputs')]))\n"
    )
    assert run_tool('analysis_tools/estimate_cost', path) == 2
    assert 'no crop with a size' in capsys.readouterr().err
    assert run_tool('analysis_tools/estimate_cost', SUPERVISED, '--batch', 0, 0) == 2
