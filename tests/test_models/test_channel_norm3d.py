"""Normalization of each voxel by its own channels."""

import torch

from mmdet3d_medical.models.layers import ChannelNorm3d


def test_by_hand():
    """Channels 1, 2, 3 have mean 2 and variance 2/3; voxels do not mix."""
    norm = ChannelNorm3d(3, eps=0.0)
    torch.nn.init.constant_(norm.weight, 2.0)
    torch.nn.init.constant_(norm.bias, 1.0)
    x = torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1, 1).repeat(1, 1, 2, 1, 1)
    x[:, :, 1] *= 100
    expected = torch.tensor([1 - 6**0.5, 1, 1 + 6**0.5])
    for z in range(2):
        torch.testing.assert_close(norm(x)[0, :, z, 0, 0], expected)


def test_a_part_of_a_map_is_normalized_as_in_the_whole():
    """What group normalization does not do."""
    x = torch.randn(2, 8, 6, 7, 5) * torch.linspace(1, 9, 7)[:, None]
    norm = ChannelNorm3d(8)
    part = (..., slice(1, 4), slice(2, 7), slice(0, 3))
    torch.testing.assert_close(norm(x)[part], norm(x[part]))
    other = torch.nn.GroupNorm(2, 8)
    assert (other(x)[part] - other(x[part])).abs().max() > 0.1


def test_either_order_in_memory():
    x, norm = torch.randn(2, 8, 4, 4, 4), ChannelNorm3d(8)
    torch.testing.assert_close(norm(x.to(memory_format=torch.channels_last_3d)), norm(x))
