"""Training steps and inference in several precisions and layouts, beside MONAI's network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import torch
from benchmark_monai import monai_calls, monai_detector, our_calls, our_detector
from measure_cost import make_batch
from timing import measure
from torch import Tensor, nn

from mmdet3d_medical.apis import load_config, shrink
from mmdet3d_medical.apis.step_plan import Plan, plan_of
from mmdet3d_medical.models.layers import recompute_activations, use_split_group_norm
from mmdet3d_medical.registry import MODELS

from .rows import Row, Settings, attempt

SUPERVISED = 'configs/retina3d/retina3d_fpn_luna16.py'
FOCALMIX = 'configs/focalmix/retina3d_fpn_luna16.py'
SIDES = dict(full=128, shrunk=16)  # of the patch that MONAI's network and ours get


class Variant(NamedTuple):
    """How a network is computed."""

    precision: str = 'float32'
    channels_last: bool = False
    recompute: bool = False
    split_norm: bool = False

    def apply(self, network: nn.Module) -> nn.Module:
        """The network, changed as the options of a detector do."""
        if self.channels_last:
            for weight in network.parameters():
                if weight.dim() == 5:
                    weight.data = weight.data.to(memory_format=torch.channels_last_3d)
        if self.recompute:
            recompute_activations(network)
        if self.split_norm:
            use_split_group_norm(network)
        return network

    def __str__(self) -> str:
        named = dict(
            channels_last=self.channels_last,
            recompute_activations=self.recompute,
            SplitGN=self.split_norm,
        )
        return ', '.join([self.precision, *(name for name, on in named.items() if on)])


# The most wanted first: a part that runs out of time loses the last ones.
VARIANTS = (
    Variant(),
    Variant('float16'),
    Variant('bfloat16'),
    Variant('float16', split_norm=True),
    Variant(split_norm=True),
    Variant('float16', channels_last=True),
    Variant('float16', recompute=True),
    Variant(recompute=True),
    Variant(channels_last=True),
    Variant('bfloat16', channels_last=True),
)
SHRUNK = (
    Variant(),
    Variant('bfloat16', channels_last=True, split_norm=True),
    Variant(recompute=True),
)


def rows(settings: Settings) -> Iterator[Row]:
    """Seconds and peak of steps and of inference, for each model and variant."""
    torch.backends.cudnn.benchmark = True  # as the configs have it
    for variant in SHRUNK if settings.shrink else VARIANTS:
        yield from _beside_monai(settings, variant)
        for config in (SUPERVISED, FOCALMIX):
            yield from _of_config(settings, variant, config)


def _of_config(settings: Settings, variant: Variant, config: str) -> Iterator[Row]:
    what = dict(model=config.removeprefix('configs/').removesuffix('.py'), variant=str(variant))
    calls: dict[str, Callable] = {}

    def build() -> Row:
        calls.update(calls_of(settings, variant, config))
        return {}

    failed = attempt(what, build)
    if 'failed' in failed:
        yield failed
        return
    for name, call in calls.items():
        yield attempt({**what, 'what': name}, lambda call=call: _numbers(settings, call))


def _numbers(settings: Settings, call: Callable) -> Row:
    found = measure(dict(it=call), settings.repeat, settings.on_gpu, settings.warm_up)
    return found['it']


@cache
def _built(settings: Settings, config: str) -> tuple[nn.Module, Plan, dict]:
    """A config's model, its plan and a batch of noise, preprocessed, on the device."""
    cfg = load_config(config)
    cfg = shrink(cfg) if settings.shrink else cfg
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model = model.to(settings.device)
    plan = plan_of(cfg, model, **(dict(patch=(32, 32, 32)) if settings.shrink else {}))
    return model, plan, model.data_preprocessor(make_batch(plan, 1), True)


def calls_of(settings: Settings, variant: Variant, config: str) -> dict[str, Callable]:
    """A step of a config, after loading and preprocessing; inference of a patch, patch to boxes.

    A step is forward, targets, losses and backward, with FocalMix guesses and MixUp too.
    """
    model, plan, data = _built(settings, config)
    model = variant.apply(copy.deepcopy(model))
    inputs, samples = data['inputs'], data['data_samples']
    context = settings.precision(variant.precision)

    def step():
        model.train()
        with context():
            losses = model.loss(inputs, samples)
            loss = sum(value for name, value in losses.items() if 'loss' in name)
        loss.backward()
        model.zero_grad()

    def infer():
        model.eval()
        with context():
            model.predict(inputs[:1], samples[:1])

    kind = ' + '.join(str(number) for number in (plan.labeled, plan.unlabeled) if number)
    calls = {f'training step of {kind} patches of {plan.patch[1]}^3': step}
    if isinstance(inputs, Tensor):  # FocalMix is its detector in testing
        calls[f'inference of a patch of {plan.patch[1]}^3'] = infer
    return calls


def _beside_monai(settings: Settings, variant: Variant) -> Iterator[Row]:
    """The same weights and patch; MONAI in the same precision and layout."""
    side = SIDES['shrunk' if settings.shrink else 'full']
    what = dict(model='retina3d/retina3d_r50_monai_luna16', variant=str(variant))
    pairs: dict[str, dict[str, Callable]] = {}

    def build() -> Row:
        pairs.update(_pairs(settings, variant, side))
        return {}

    failed = attempt(what, build)
    if 'failed' in failed:
        yield failed
        return
    for name, pair in pairs.items():
        title = f'{name} of a patch of {side}^3'
        yield attempt({**what, 'what': title}, lambda pair=pair: _compared(settings, pair))


@cache
def _built_pair() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    theirs = monai_detector()
    return our_detector(theirs), theirs


def _pairs(settings: Settings, variant: Variant, side: int) -> dict[str, dict[str, Callable]]:
    ours, theirs = map(copy.deepcopy, _built_pair())
    ours = variant.apply(ours).to(settings.device)
    theirs = variant._replace(recompute=False, split_norm=False).apply(theirs).to(settings.device)
    patch, middle = torch.rand(1, 1, *[side] * 3).to(settings.device), side / 2
    box = torch.tensor([[middle - 4] * 3 + [middle + 4] * 3]).to(settings.device)
    context = settings.precision(variant.precision)
    mine, monai = (
        calls(model, patch, box, context)
        for calls, model in ((our_calls, ours), (monai_calls, theirs))
    )
    return {name: dict(ours=mine[name], monai=monai[name]) for name in mine}


def _compared(settings: Settings, pair: dict[str, Callable]) -> Row:
    found = measure(pair, settings.repeat, settings.on_gpu, settings.warm_up)
    ours, theirs = found['ours'], found['monai']
    return {
        **ours,
        'MONAI seconds': theirs['seconds'],
        'MONAI peak_mb': theirs['peak_mb'],
        'seconds ratio': ours['seconds'] / theirs['seconds'],
        'peak ratio': ours['peak_mb'] / theirs['peak_mb'] if theirs['peak_mb'] else None,
    }
