"""Convolutions of one patch by oneDNN are those of torch."""

import pytest
import torch
from torch import nn

from mmdet3d_medical.models.layers import OneDNNConvolutions, onednn_convolutions

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason='torch was built without oneDNN'
)


@pytest.fixture
def taken(monkeypatch):
    """How many convolutions oneDNN computed."""
    calls = []
    compute = onednn_convolutions._conv3d
    monkeypatch.setattr(
        onednn_convolutions, '_conv3d', lambda *args: calls.append(1) or compute(*args)
    )
    return calls


@pytest.mark.parametrize(
    'layer',
    [
        nn.Conv3d(3, 4, 3, padding=1),
        nn.Conv3d(4, 6, 3, stride=(1, 2, 2), padding=(1, 0, 2), bias=False),
        nn.Conv3d(4, 4, 3, groups=2, dilation=2, padding=2),
        nn.Conv3d(2, 5, 1),
        nn.Conv3d(2, 5, (1, 3, 2), padding='same'),
    ],
)
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last_3d])
def test_outputs_are_those_of_torch(layer, layout, taken):
    x = torch.randn(1, layer.in_channels, 7, 8, 9).to(memory_format=layout)
    with torch.no_grad():
        expected = layer(x)
        with OneDNNConvolutions():
            found = layer(x)
    assert taken == [1] and found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_training_batches_and_other_types_stay_with_torch(taken):
    layer, x = nn.Conv3d(2, 3, 3), torch.randn(1, 2, 5, 5, 5)
    with OneDNNConvolutions():
        layer(x).sum().backward()
        with torch.no_grad():
            layer(x.expand(2, -1, -1, -1, -1))
            layer.double()(x.double())
            with torch.autocast('cpu', torch.bfloat16):
                layer.float()(x)
    assert taken == [] and layer.weight.grad is not None
