"""Encoders of MONAI."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from functools import partial
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS

from .resnet3d import Stride, triple

NETS = 'monai.networks.nets'
IN_CHANNELS = ('in_channels', 'in_chans', 'n_input_channels')  # as MONAI's classes call them


@MODELS.register_module()
class MONAIEncoder(BaseModule):
    """Feature maps of any 3D network in ``monai.networks.nets``.

    The outputs of named parts are the maps, and the pass ends with the last of them. When built, a
    copy of the network on the meta device, which computes shapes alone, tells channels, strides and
    what the maps depend on. Parts that no map needs are dropped; weights that are used although
    no map depends on them are frozen, so that distributed training does not wait for their
    gradients.

    The network gets (B, C, D, H, W) and does not care which axis is which. Weights that were
    trained within MONAI, whose axes are mostly (x, y, z), do: for them there is ``reverse_axes``.
    Weights have MONAI's names behind ``network.``.

    Args:
        name: A class of ``monai.networks.nets``, or of a module in it, such as ``DenseNet121`` or
            ``swin_unetr.SwinTransformer``.
        args: Its arguments, ``spatial_dims=3`` among them where it asks for it.
        out_modules: Parts whose outputs are the maps, finest first for a pyramid, such as
            ``('layer1', 'layer2')``; ``''`` is the network itself. In a list that a part puts out
            each tensor is a map. Of a part that is used more than once, the first output counts.
        out_indices: Which of these maps to put out. Default: all.
        reverse_axes: Whether the network works on (B, C, W, H, D).
        probe_size: Of the volume on the meta device, one number or (z, y, x), for networks that
            take certain sizes only.
        init_cfg: As in mmengine's ``BaseModule``. Default: as MONAI initializes the network.

    Attributes:
        out_channels (list[int]): Of each map.
        out_strides (list[tuple[int, int, int]]): Of each map, (z, y, x).

    Raises:
        ImportError: If MONAI, or what this network of it needs, is not installed.
        ValueError: For an unknown class, part or index; if a part is not used, puts out something
            else than maps of whole strides, or what it puts out is changed in place later; if the
            network does not take the volume.
    """

    def __init__(
        self,
        name: str,
        args: dict | None = None,
        out_modules: Sequence[str] = ('',),
        out_indices: Sequence[int] | None = None,
        reverse_axes: bool = False,
        probe_size: Stride = 64,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(init_cfg)
        self.out_modules = tuple(out_modules)
        self.out_indices = None if out_indices is None else tuple(out_indices)
        self.reverse_axes = reverse_axes
        args = dict(args or {})
        channels = next((args[key] for key in IN_CHANNELS if key in args), 1)
        shape = (2, channels, *triple(probe_size))  # two, for normalization over the batch
        network = _network_class(name)
        try:
            self.network = network(**args)
            _check_parts(self.network, self.out_modules)
            maps, unused, called = _probe(self, shape)
        except ImportError as error:
            raise ImportError(
                f'{name} of MONAI needs another package: {str(error).splitlines()[0]}'
            ) from error
        except (RuntimeError, ValueError, TypeError) as error:
            raise ValueError(
                f'{name} of MONAI gives no feature maps of a volume {shape}: {error}'
            ) from error
        self.out_channels = [x.shape[1] for x in maps]
        self.out_strides = [_strides(shape, x) for x in maps]
        frozen = _freeze(self.network, unused)
        dropped = _drop(self.network, unused, called)
        print_log(
            f'{name} of MONAI: maps of {self.out_channels} channels at strides '
            f'{self.out_strides}. No map needs {frozen} of its weights: {dropped} are dropped, '
            'the others frozen.',
            logger='current',
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the chosen parts.

        Args:
            x: (B, C, D, H, W).

        Returns:
            Maps (B, C, d, h, w) in the order of ``out_modules``, or of ``out_indices``.
        """
        outputs = _outputs_of(self.network, self.out_modules, self._turned(x))
        maps = [self._turned(x) for output in outputs for x in _tensors(output)]
        if self.out_indices is None:
            return tuple(maps)
        if not all(-len(maps) <= index < len(maps) for index in self.out_indices):
            raise ValueError(f'there are {len(maps)} maps, found out_indices={self.out_indices}')
        return tuple(maps[index] for index in self.out_indices)

    def _turned(self, x: Tensor) -> Tensor:
        return x.permute(0, 1, 4, 3, 2).contiguous() if self.reverse_axes else x


def _network_class(name: str) -> type[nn.Module]:
    """A class in ``monai.networks.nets``, or in the module there that ``name`` begins with."""
    module, _, attribute = name.rpartition('.')
    try:
        space = importlib.import_module(f'{NETS}.{module}' if module else NETS)
    except ModuleNotFoundError as error:
        if (error.name or '').startswith(NETS):
            raise ValueError(f'MONAI has no module {NETS}.{module}') from error
        raise ImportError('MONAIEncoder needs MONAI (pip install monai)') from error
    known = {
        key: value for key, value in vars(space).items()
        if isinstance(value, type) and issubclass(value, nn.Module)
    }  # fmt: skip
    if attribute not in known:
        raise ValueError(
            f'{space.__name__} has no network {attribute!r}; it has '
            f'{sorted({value.__name__ for value in known.values()})}'
        )
    return known[attribute]


def _check_parts(network: nn.Module, names: Sequence[str]) -> None:
    known = dict(network.named_modules())
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=5)
            outer = [part for part in known if part and part.count('.') < 2]
            raise ValueError(
                f'it has no part {name!r}. Close to it: {close}. Outermost parts: {outer}'
            )


class _Complete(Exception):  # noqa: N818 (no error: it ends a pass that has given all it should)
    """All outputs are there."""


def _outputs_of(network: nn.Module, names: Sequence[str], x: Tensor) -> list[Any]:
    """First outputs of the named parts; nothing is computed beyond the last of them."""
    found = {}

    def keep(name: str, part: nn.Module, inputs: tuple, output: Any) -> None:
        found.setdefault(name, output)
        if len(found) == len(set(names)):
            raise _Complete

    hooks = [
        network.get_submodule(name).register_forward_hook(partial(keep, name)) for name in names
    ]
    try:
        network(x)
    except _Complete:
        return [found[name] for name in names]
    finally:
        for hook in hooks:
            hook.remove()
    unused = [name for name in names if name not in found]
    raise ValueError(f'its parts {unused} are not called; parts inside them may be')


def _tensors(output: Any) -> Iterator[Tensor]:
    """Tensors in what a part puts out, in order."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (Mapping, list, tuple)):
        for part in output.values() if isinstance(output, Mapping) else output:
            yield from _tensors(part)


@torch.enable_grad()  # wherever the encoder is built
def _probe(
    encoder: MONAIEncoder, shape: Sequence[int]
) -> tuple[tuple[Tensor, ...], set[str], set[str]]:
    """Maps on the meta device, weights that they do not depend on, and parts that are called."""
    twin = deepcopy(encoder).to('meta').train()
    called, versions = set(), []

    def note_call(name: str, *_: Any) -> None:
        called.add(name)

    def note_version(part: nn.Module, inputs: tuple, output: Any) -> None:
        versions.extend((x, x._version) for x in _tensors(output))

    for name, part in twin.network.named_modules():
        part.register_forward_pre_hook(partial(note_call, name))
    for name in encoder.out_modules:
        twin.network.get_submodule(name).register_forward_hook(note_version)
    maps = twin(torch.empty(*shape, device='meta'))
    if any(x._version != version for x, version in versions):
        raise ValueError(
            f'an output of {encoder.out_modules} is changed in place by the part that follows it: '
            'take that one'
        )
    shapes = [tuple(x.shape) for x in maps]
    if not maps or any(len(sides) != 5 for sides in shapes):
        raise ValueError(f'expected maps (B, C, D, H, W), found tensors of {shapes}')
    return maps, _without_gradient(twin.network, maps), called


def _without_gradient(network: nn.Module, maps: Sequence[Tensor]) -> set[str]:
    """Names of weights that the maps do not depend on."""
    weights = {key: weight for key, weight in network.named_parameters() if weight.requires_grad}
    total = sum(x.float().sum() for x in maps)
    gradients = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
    return {key for key, gradient in zip(weights, gradients, strict=True) if gradient is None}


def _strides(shape: Sequence[int], x: Tensor) -> tuple[int, ...]:
    sides = list(zip(shape[2:], x.shape[2:], strict=True))
    if any(whole % part for whole, part in sides):
        raise ValueError(
            f'a map of {tuple(x.shape)} has no whole strides for a volume {tuple(shape)}; channels '
            'have to come second'
        )
    return tuple(whole // part for whole, part in sides)


def _freeze(network: nn.Module, unused: set[str]) -> int:
    """Take the unused weights out of training."""
    weights = [weight for key, weight in network.named_parameters() if key in unused]
    for weight in weights:
        weight.requires_grad_(False)
    return sum(weight.numel() for weight in weights)


def _drop(part: nn.Module, unused: set[str], called: set[str], prefix: str = '') -> int:
    """Replace the outermost parts that are never called and hold nothing but unused weights."""
    dropped = 0
    for name, child in list(part.named_children()):
        path = f'{prefix}{name}'
        weights = dict(child.named_parameters(prefix=path))
        inside = any(f'{key}.'.startswith(f'{path}.') for key in called)
        if weights and not inside and weights.keys() <= unused:
            setattr(part, name, nn.Identity())
            dropped += sum(weight.numel() for weight in weights.values())
        else:
            dropped += _drop(child, unused, called, f'{path}.')
    return dropped
