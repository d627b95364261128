"""Which weights fit a model."""

import pytest

from mmdet3d_medical.apis.checkpoint import _shortened, misfits_of
from mmdet3d_medical.registry import MODELS


@pytest.fixture
def plain(small_detector):
    return MODELS.build(small_detector())


@pytest.fixture(params=[None, dict(type='EMATeacher', momentum=0.1)])
def around(request, small_detector):
    cfg = dict(type='FocalMixDetector', detector=small_detector(), teacher=request.param)
    return MODELS.build(cfg)


def test_focalmix_takes_weights_of_a_plain_detector_and_its_own(plain, around):
    for model in (plain, around):
        assert not any(misfits_of(around, model.state_dict()).values())
    assert any(misfits_of(plain, around.state_dict()).values())


def test_weights_of_a_backbone_fit_if_they_say_so(plain, around):
    weights = {f'backbone.{name}': value for name, value in plain.backbone.state_dict().items()}
    for model in (plain, around):
        assert not any(misfits_of(model, weights, part='backbone.').values())
        assert any(misfits_of(model, weights).values())
    removed = next(iter(weights))
    del weights[removed]
    assert misfits_of(plain, weights, part='backbone.')['of the model are missing'] == [removed]


def test_long_messages_keep_their_beginning():
    lines = '\n'.join(f'line {number}' for number in range(10))
    assert _shortened(lines, most=2) == 'line 0\nline 1\nline 2\n... and 7 more lines'
    assert _shortened('one') == 'one'
