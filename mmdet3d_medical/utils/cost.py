"""What passes through a dense detector cost, counted without running them.

Tensors on torch's meta device have a shape but no values, so patches of any size go through a
network within a second, on any machine. Assignment and losses are not counted: they work on a few
numbers for each prior, the network on hundreds.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import FlopCounterMode

from mmdet3d_medical.models.dense_heads.targets import predict
from mmdet3d_medical.models.layers import recomputing


@dataclass(frozen=True)
class PassCost:
    """Cost of a forward pass, or of a forward and a backward one.

    Memory is that of tensors beyond weights and inputs. Libraries take some more to work in.

    Attributes:
        kept: Bytes that the forward pass leaves: its outputs and, with gradient, the activations
            that the backward pass needs.
        peak: Most bytes at one time; in the backward pass gradients count too.
        operations: Of each operation its FLOPs and the bytes it reads and writes. FLOPs are those
            of convolutions and matrix products, two for a multiplication with an addition.
    """

    kept: int
    peak: int
    operations: tuple[tuple[int, int], ...]

    @property
    def flops(self) -> int:
        """FLOPs of all operations."""
        return sum(flops for flops, _ in self.operations)

    def seconds(self, flops_per_second: float, bytes_per_second: float) -> float:
        """Time if each operation waits for arithmetic or for memory, whichever takes longer.

        The roofline model (Williams et al. 2009, doi 10.1145/1498765.1498785).
        """
        return sum(
            max(flops / flops_per_second, size / bytes_per_second)
            for flops, size in self.operations
        )


def input_channels(detector: nn.Module, channels: int = 1) -> int:
    """Of the network's input, for scans of ``channels``: a preprocessor may add the location."""
    return channels + getattr(detector.data_preprocessor, 'added_channels', 0)


def forward_cost(
    detector: nn.Module, shape: Sequence[int], amp: bool = False, boxes_of: int | None = None
) -> PassCost:
    """Cost of a forward pass without gradient, as in testing and in guessing.

    Args:
        detector: With ``extract_feat`` and ``bbox_head``; stays as it is.
        shape: Of the inputs (B, C, D, H, W).
        amp: Whether in float16 where CUDA's autocast uses it.
        boxes_of: Regression outputs are needed of the first so many patches; None: of all.
    """
    with torch.no_grad():
        return count_passes(deepcopy(detector).to('meta'), shape, amp, boxes_of)


def training_cost(
    detector: nn.Module, shape: Sequence[int], amp: bool = False, boxes_of: int | None = None
) -> PassCost:
    """Cost of a forward and a backward pass; arguments as of :func:`forward_cost`."""
    return count_passes(deepcopy(detector).to('meta').train(), shape, amp, boxes_of)


def count_passes(
    detector: nn.Module, shape: Sequence[int], amp: bool = False, boxes_of: int | None = None
) -> PassCost:
    """Cost of a forward pass on the detector's own device and, with gradient, of a backward one.

    Not on the meta device the passes are run.
    """
    inputs = torch.empty(*shape, device=next(detector.parameters()).device)
    with (
        FlopCounterMode(display=False) as flop_counter,
        _CostCounter(flop_counter) as counter,
        _autocast(detector) if amp else nullcontext(),
    ):
        with recomputing(detector):
            outs = predict(detector.bbox_head, detector.extract_feat(inputs), boxes_of)
        kept = counter.live
        if torch.is_grad_enabled():
            parts = [part for part in detector.bbox_head.flatten(outs) if part.requires_grad]
            torch.autograd.backward(parts, [torch.empty_like(part) for part in parts])
    return PassCost(kept, counter.peak, tuple(counter.operations))


class _CostCounter(TorchDispatchMode):
    """Counts operations, and the bytes of tensors that they make until these are freed."""

    def __init__(self, flop_counter: FlopCounterMode):
        super().__init__()
        self.flop_counter = flop_counter
        self.operations: list[tuple[int, int]] = []
        self.live = self.peak = 0
        self._known = weakref.WeakSet()  # memory that is counted, or was there before

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = _tensors((args, kwargs))
        self._known.update(tensor.untyped_storage() for tensor in given)
        before = self.flop_counter.get_total_flops()
        result = func(*args, **(kwargs or {}))
        made = _tensors(result)
        for tensor in made:
            self._watch(tensor.untyped_storage())
        if not func.is_view:
            flops = self.flop_counter.get_total_flops() - before
            self.operations.append((flops, sum(tensor.nbytes for tensor in given + made)))
        return result

    def _watch(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._freed, storage.nbytes())

    def _freed(self, size: int) -> None:
        self.live -= size


class _CudaAutocast(TorchFunctionMode):
    """Mixed precision as on a GPU, for tensors that are on none.

    From PyTorch's Autocast Op Reference for CUDA, what networks use of it; everything else takes
    its inputs' type.
    """

    TYPES = {
        **dict.fromkeys(
            ('conv1d', 'conv2d', 'conv3d', 'conv_transpose1d', 'conv_transpose2d',
             'conv_transpose3d', 'linear', 'matmul', '__matmul__', 'mm', 'bmm', 'addmm', 'baddbmm'),
            torch.float16,
        ),
        **dict.fromkeys(('group_norm', 'layer_norm', 'softmax', 'interpolate'), torch.float32),
    }  # fmt: skip

    @classmethod
    def within(cls, forward: Callable) -> Callable:
        """The same function, in mixed precision."""

        @wraps(forward)
        def in_mixed_precision(*args, **kwargs):
            with cls():
                return forward(*args, **kwargs)

        return in_mixed_precision

    def __torch_function__(self, func, types, args=(), kwargs=None):
        dtype = self.TYPES.get(getattr(func, '__name__', None))
        if dtype is not None:
            args, kwargs = tree_map(lambda leaf: _cast(leaf, dtype), (args, kwargs))
        return func(*args, **(kwargs or {}))


@contextmanager
def _autocast(network: nn.Module) -> Iterator[None]:
    """Mixed precision in each module.

    A mode around both passes would miss what activation checkpointing recomputes: in the backward
    pass autograd leaves such modes.
    """
    modules = list(network.modules())
    for module in modules:
        module.forward = _CudaAutocast.within(module.forward)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def _cast(leaf: Any, dtype: torch.dtype) -> Any:
    is_float = isinstance(leaf, Tensor) and leaf.is_floating_point()
    return leaf.to(dtype) if is_float else leaf


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
