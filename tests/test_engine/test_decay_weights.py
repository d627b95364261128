"""Weight decay of kernels alone."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmdet3d_medical.engine import DecayWeightsOnly

WRAPPER = dict(
    type='OptimWrapper',
    constructor='mmdet3d_medical.DecayWeightsOnly',
    optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.5),
)


@pytest.fixture
def model():
    model = nn.Sequential(nn.Conv3d(1, 2, 1), nn.GroupNorm(1, 2), nn.Linear(2, 1))
    for weight in model.parameters():
        nn.init.ones_(weight)
    return model


def test_without_a_gradient_kernels_shrink_and_the_rest_stays(model):
    """A step of AdamW with gradient 0 multiplies what it decays by 1 - lr * decay = 0.95."""
    wrapper = build_optim_wrapper(model, WRAPPER)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    wrapper.optimizer.step()
    for name, weight in model.named_parameters():
        expected = 0.95 if name in ('0.weight', '2.weight') else 1.0
        assert torch.allclose(weight, torch.full_like(weight, expected)), name


def test_frozen_parameters_are_left_out_and_all_others_are_in(model):
    model[0].requires_grad_(False)
    optimizer = build_optim_wrapper(model, WRAPPER).optimizer
    groups = [[tuple(w.shape) for w in group['params']] for group in optimizer.param_groups]
    assert groups == [[(1, 2)], [(2,), (2,), (1,)]]


def test_other_settings_of_mmengine_are_refused():
    with pytest.raises(ValueError, match="constructor='DefaultOptimWrapperConstructor'"):
        DecayWeightsOnly(WRAPPER, dict(norm_decay_mult=0.0))
