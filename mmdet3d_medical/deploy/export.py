"""The network of a detector in forms that others compute. Pre- and postprocessing stay ours."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS

INPUT, OUTPUTS = 'patches', ('logits', 'deltas')
AXES = {0: 'batch', 2: 'depth', 3: 'height', 4: 'width'}
OPSET = 18
# Values of a detector's config that only change how torch computes.
ONLY_TORCH = ('channels_last', 'winograd', 'recompute_activations')


class Network(nn.Module):
    """What a detector computes on preprocessed patches, before boxes are decoded.

    It has only operations that other runtimes know.

    Args:
        config: Of a :class:`~mmdet3d_medical.models.DenseDetector3D`.
        weights: Of it.
    """

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        config = {key: value for key, value in config.items() if key not in ONLY_TORCH}
        self.detector = MODELS.build(config)
        self.detector.load_state_dict(weights)
        self.eval().requires_grad_(False)
        _rename_instance_norms(self)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (B, N, C) and deltas (B, N, R) of patches (B, C, D, H, W)."""
        return self.detector.flat_outputs(patches)

    def example(self, batch: int, strides: int) -> Tensor:
        """Noise (B, C, D, H, W) whose sides are so many of the largest strides."""
        channels = 1 + self.detector.data_preprocessor.added_channels
        sides = [strides * step for step in self.detector.divisor]
        return torch.randn(batch, channels, *sides, generator=torch.Generator().manual_seed(0))

    def describe(self) -> dict[str, Any]:
        """What goes in and what comes out, as plain values."""
        head = self.detector.bbox_head
        return dict(
            input=dict(
                name=INPUT,
                axes=['batch', 'channel', *list(AXES.values())[1:]],
                channels=1 + self.detector.data_preprocessor.added_channels,
                multiples=list(self.detector.divisor),
            ),
            outputs=dict(zip(OUTPUTS, (head.num_classes, head.num_deltas), strict=True)),
        )


def onnx_bytes(network: Network) -> bytes:
    """The network in ONNX, for any number of patches, sides in multiples of its strides."""
    file = io.BytesIO()
    with _quiet():
        torch.onnx.export(
            network,
            (network.example(2, 2),),
            file,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={INPUT: AXES},
            opset_version=OPSET,
            dynamo=False,  # takes 1 s; exports of torch.export take 20 s and compute the same
        )
    return file.getvalue()


def torch_program(network: Network) -> torch.export.ExportedProgram:
    """The network as a program of ``torch.export``, for patches as in :func:`onnx_bytes`."""
    shapes = dict.fromkeys(AXES, torch.export.Dim.DYNAMIC)
    with _quiet():
        return torch.export.export(network, (network.example(2, 2),), dynamic_shapes=(shapes,))


def _rename_instance_norms(network: nn.Module) -> None:
    """mmcv calls instance normalization ``in``, a keyword of the programs of ``torch.export``."""
    for module in network.modules():
        if 'in' in module._modules:
            module.norm_name = 'instance_norm'
            module.add_module(module.norm_name, module._modules.pop('in'))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without gradients, and without warnings that concern torch's developers."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield
