"""The pyramid in which every level sees every other."""

import pytest
import torch

from mmdet3d_medical.models.necks import DenseFPN3D


def passing_through(**settings) -> DenseFPN3D:
    """A neck of two levels and one channel whose lateral from level i has the weight 10^i."""
    neck = DenseFPN3D([1, 1], out_channels=1, **settings)
    with torch.no_grad():
        for laterals in neck.laterals:
            for source, lateral in enumerate(laterals):
                lateral.conv.weight.fill_(10.0**source)
        for output in neck.outputs:
            output.conv.weight.zero_()
            output.conv.weight[0, 0, 1, 1, 1] = 1
    return neck


@pytest.mark.parametrize(('shrink', 'pooled'), [('max', 7.0), ('avg', 3.5)])
def test_levels_by_hand(shrink, pooled):
    fine = torch.arange(8.0).reshape(1, 1, 2, 2, 2)
    coarse = torch.full((1, 1, 1, 1, 1), 3.0)
    outs = passing_through(shrink=shrink)((fine, coarse))
    torch.testing.assert_close(outs[0], fine + 10 * 3)
    assert outs[1].tolist() == [[[[[pooled + 10 * 3]]]]]


def test_trilinear_enlarges_smoothly():
    coarse = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 1, 2)
    outs = passing_through(enlarge='trilinear')((torch.zeros(1, 1, 2, 2, 4), coarse))
    assert outs[0][0, 0, 0, 0].tolist() == [0, 2.5, 7.5, 10]


def test_every_level_sees_every_map():
    torch.manual_seed(0)
    neck = DenseFPN3D([2, 3, 4], out_channels=2)
    sizes = (8, 4, 2)
    maps = [
        torch.rand(1, c, *(s,) * 3).requires_grad_() for c, s in zip((2, 3, 4), sizes, strict=True)
    ]
    outs = neck(maps)
    assert [tuple(out.shape) for out in outs] == [(1, 2, s, s, s) for s in sizes]
    for out in outs:
        gradients = torch.autograd.grad(out.sum(), maps, retain_graph=True)
        assert all(gradient.abs().max() > 0 for gradient in gradients)


@pytest.mark.parametrize('axis', [2, 3, 4])
def test_mirrored_maps_give_mirrored_levels(axis):
    torch.manual_seed(0)
    neck = DenseFPN3D([2, 2], out_channels=2)
    for output in neck.outputs:  # a 3 x 3 x 3 convolution is mirrored only with its weights
        output.conv.weight.data[:, :, :] = output.conv.weight.data[:, :, 1:2, 1:2, 1:2]
    maps = [torch.rand(1, 2, 4, 4, 4), torch.rand(1, 2, 2, 2, 2)]
    outs = neck([x.flip(axis) for x in maps])
    for out, other in zip(outs, neck(maps), strict=True):
        torch.testing.assert_close(out, other.flip(axis))


@pytest.mark.parametrize('setting', ['shrink', 'enlarge'])
def test_unknown_ways_of_resizing_are_refused(setting):
    with pytest.raises(ValueError, match=f'{setting} must be'):
        DenseFPN3D([2], 2, **{setting: 'cubic'})
