"""A step of FocalMix beside the passes through the network that it consists of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from measure_cost import make_batch
from timing import measure

from mmdet3d_medical.apis import load_config, shrink
from mmdet3d_medical.apis.step_plan import plan_of
from mmdet3d_medical.models.dense_heads.targets import predict
from mmdet3d_medical.models.semi import guessing
from mmdet3d_medical.registry import MODELS

from .rows import Row, Settings, attempt

CONFIGS = ('configs/focalmix/retina3d_fpn_luna16.py', 'configs/focalmix/retina3d_fpn_phantom.py')


def rows(settings: Settings) -> Iterator[Row]:
    """For each config and precision: the step, its passes, and the ratio."""
    torch.backends.cudnn.benchmark = True
    for config in CONFIGS:
        for precision in ('float32', 'bfloat16') if settings.shrink else ('float32', 'float16'):
            what = dict(config=config.removeprefix('configs/').removesuffix('.py'))
            yield attempt(
                {**what, 'precision': precision},
                lambda config=config, precision=precision: _compared(settings, config, precision),
            )


def _compared(settings: Settings, config: str, precision: str) -> Row:
    calls, views = calls_of(settings, config, precision)
    found = measure(calls, settings.repeat, settings.on_gpu, settings.warm_up)
    seconds = {name: numbers['seconds'] for name, numbers in found.items()}
    passes = seconds['guess'] + seconds['student']
    return {
        'step, s': seconds['step'],
        f'{views} views without gradient, s': seconds['guess'],
        'forward and backward of all, s': seconds['student'],
        'step / passes': seconds['step'] / passes,
        'supervised step of all, s': seconds['supervised'],
        'step / supervised': seconds['step'] / seconds['supervised'],
        'step, peak_mb': found['step']['peak_mb'],
    }


def calls_of(settings: Settings, config: str, precision: str) -> tuple[dict[str, Callable], int]:
    """The step, its two kinds of passes and a supervised step by name, and the number of views."""
    cfg = load_config(config)
    cfg = shrink(cfg) if settings.shrink else cfg
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model = model.to(settings.device).train()
    sizes = dict(patch=(32, 32, 32)) if settings.shrink else {}
    plan = plan_of(cfg, model, **sizes)
    data = model.data_preprocessor(make_batch(plan, 1), True)
    inputs, samples = data['inputs'], data['data_samples']
    context, detector = settings.precision(precision), model.detector
    everything = torch.cat(list(inputs.values()))
    annotated = [sample for part in samples.values() for sample in part]
    head, shape = detector.bbox_head, tuple(everything.shape[2:])
    views = model.targets.views.draw(np.random.default_rng(0), shape, head.priors(shape))

    def backward(losses: dict) -> None:
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        model.zero_grad()

    def step():
        with context():
            losses = model.loss(inputs, samples)
        backward(losses)

    def supervised():
        with context():
            losses = detector.loss(everything, annotated)
        backward(losses)

    @torch.no_grad()
    def guess():
        with context(), guessing(detector, 'batch'):
            for number, view in enumerate(views):
                feats = detector.extract_feat(view.apply(inputs['unsup']))
                predict(head, feats, boxes_of=0 if number else plan.unlabeled)

    def student():
        with context():
            outs = predict(head, detector.extract_feat(everything), boxes_of=plan.labeled)
            logits, deltas = head.flatten(outs)
            total = dict(loss=logits.mean() + deltas.mean())
        backward(total)

    calls = dict(step=step, guess=guess, student=student, supervised=supervised)
    return calls, len(views)
