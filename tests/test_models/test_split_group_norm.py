"""Group normalization by shared reductions, against PyTorch's."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmdet3d_medical.models.layers import (
    SplitGroupNorm,
    split_group_norm,
    use_split_group_norm,
)
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils import register_all_modules


def leaves(last: bool = False) -> list[torch.Tensor]:
    """Maps far from 0, weight, bias and the gradient of what comes out."""
    rng = torch.Generator().manual_seed(0)
    x = 3 + torch.randn(2, 6, 4, 5, 3, generator=rng)
    x = x.to(memory_format=torch.channels_last_3d) if last else x
    weight, bias = (torch.randn(6, generator=rng) for _ in range(2))
    grad = torch.randn(x.shape, generator=rng)
    return [*(part.requires_grad_() for part in (x, weight, bias)), grad]


def run(norm, parts: list[torch.Tensor]) -> list[torch.Tensor]:
    *inputs, grad = parts
    out = norm(*inputs)
    return [out, *torch.autograd.grad(out, inputs, grad)]


def test_numbers_by_hand():
    """The means of the groups are 2 and 15, the variances 1 and 25."""
    x = torch.tensor([1.0, 3, 10, 20]).view(1, 2, 2, 1, 1)
    ours = split_group_norm(x, 2, torch.tensor([1.0, 2]), torch.tensor([0.0, 5]), eps=0.0)
    torch.testing.assert_close(ours.flatten(), torch.tensor([-1.0, 1, 3, 7]))


@pytest.mark.parametrize('last', [False, True], ids=['contiguous', 'channels last'])
def test_outputs_and_gradients_are_those_of_group_norm(last):
    ours = run(lambda *parts: split_group_norm(parts[0], 3, *parts[1:], 1e-5), leaves(last))
    theirs = run(lambda *parts: F.group_norm(parts[0], 3, *parts[1:]), leaves(last))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


def test_it_takes_the_place_of_group_norm():
    network = nn.Sequential(nn.GroupNorm(3, 6), nn.GroupNorm(3, 6, affine=False))
    state = network.state_dict()
    use_split_group_norm(network)
    assert [type(part) for part in network] == [SplitGroupNorm, nn.GroupNorm]
    assert network.state_dict().keys() == state.keys()
    x = leaves()[0]
    assert torch.equal(network[0](x), nn.GroupNorm(3, 6)(x))  # a CPU has nothing to gain


def test_a_config_can_name_it(small_detector):
    register_all_modules()
    cfg = small_detector()
    cfg['bbox_head'].update(norm_cfg=dict(type='SplitGN', num_groups=2))
    model = MODELS.build(cfg)
    assert {type(part) for part in model.modules() if isinstance(part, nn.GroupNorm)} == {
        SplitGroupNorm
    }
    cfg['bbox_head'].update(norm_cfg=dict(type='GN', num_groups=2))
    model.load_state_dict(MODELS.build(cfg).state_dict())
