"""What ``mmdet3d-medical diagnose-guesses`` does."""

import itertools
import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.progress import track
from torch import Tensor

from mmdet3d_medical.apis import load_config, put_weights, trust_checkpoints
from mmdet3d_medical.datasets import Draw, branch_in_use
from mmdet3d_medical.engine.hooks.guess_quality import Counts, count_guesses
from mmdet3d_medical.models.dense_heads import DenseTargets
from mmdet3d_medical.models.detectors import FocalMixDetector
from mmdet3d_medical.models.detectors.dense3d import targets_of
from mmdet3d_medical.models.semi import AnchorTargets, Sharpen, guessing, sharpen
from mmdet3d_medical.registry import DATASETS, MODELS
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import write_text

BINS = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
Setting = tuple[float, float]  # temperature and center


class Diagnosis:
    """Sums over batches.

    Args:
        model: Whose guesses are looked at.
        settings: Of sharpening, whose pull is compared with that of the true labels.
    """

    def __init__(self, model: FocalMixDetector, settings: Sequence[Setting]) -> None:
        self.model = model
        self.anchors = np.zeros((len(BINS) - 1, 3))  # number, sum of guesses, lesions
        self.counts = {threshold: Counts(0, 0, 0, 0) for threshold in THRESHOLDS}
        self.pulls: dict[Setting | None, Tensor | float] = dict.fromkeys((None, *settings), 0.0)

    def look(self, inputs: Tensor, samples: list, rng: np.random.Generator) -> None:
        """Add a batch of patches (B, C, D, H, W) with annotations."""
        guess = self.model.targets(
            self.model.guessing_models, inputs, rng, [sample.metainfo for sample in samples]
        )
        truth = targets_of(self.model.detector.bbox_head, samples, tuple(inputs.shape[2:]))
        self._calibrate(guess.cls, truth)
        for cls, sample in zip(guess.cls, samples, strict=True):
            for threshold in THRESHOLDS:
                hard = sharpen(cls, 0.0, threshold)
                found = count_guesses(
                    hard, guess.priors, sample.gt_instances.bboxes, sample.ignored_instances.bboxes
                )
                self.counts[threshold] = Counts(
                    *map(sum, zip(self.counts[threshold], found, strict=True))
                )
        self._pull(inputs, guess.cls, truth)

    def _calibrate(self, guess: Tensor, truth: DenseTargets) -> None:
        counts = truth.cls_weight > 0
        guess, truth = guess[counts].flatten(), truth.cls[counts].flatten()
        place = np.clip(np.digitize(guess.numpy(), BINS) - 1, 0, len(BINS) - 2)
        for column, weights in enumerate((None, guess.numpy(), truth.numpy())):
            self.anchors[:, column] += np.bincount(place, weights, minlength=len(BINS) - 1)

    def _pull(self, inputs: Tensor, guess: Tensor, truth: DenseTargets) -> None:
        """Add the gradients of the classification loss for the true and the guessed targets."""
        detector = self.model.detector
        with guessing(detector, 'batch'):
            outs = detector.bbox_head(detector.extract_feat(inputs))
        for setting in self.pulls:
            if setting is None:
                losses = detector.bbox_head.loss_by_targets(outs, truth)
            else:
                sharp = sharpen(guess, *setting)
                everywhere = torch.ones_like(truth.cls_weight)
                targets = replace(truth, cls=sharp, cls_weight=everywhere)
                losses = self.model.unsup.unweighted(
                    detector.bbox_head, outs, targets, targets.num_positives()
                )
            pull = _gradient(losses['loss_cls'], detector)
            self.pulls[setting] = self.pulls[setting] + pull

    def tables(self) -> dict[str, list[dict]]:
        """What was found, rows by table."""
        return dict(
            calibration=list(self._calibration()),
            thresholds=list(self._thresholds()),
            pull=list(self._pulls()),
        )

    def _calibration(self) -> Iterator[dict]:
        for low, high, (number, total, lesions) in zip(
            BINS[:-1], BINS[1:], self.anchors, strict=True
        ):
            if number:
                yield {
                    'guess': f'{low:g} to {high:g}',
                    'anchors': int(number),
                    'mean guess': total / number,
                    'lesions': lesions / number,
                }

    def _thresholds(self) -> Iterator[dict]:
        for threshold, count in self.counts.items():
            yield {
                'threshold': threshold,
                'lesions': count.lesions,
                'recall': count.found / max(count.lesions, 1),
                'guesses': count.guesses,
                'precision': count.right / max(count.guesses, 1),
            }

    def _pulls(self) -> Iterator[dict]:
        true = self.pulls[None]
        for setting, pull in self.pulls.items():
            if setting is not None:
                yield {
                    'temperature': setting[0],
                    'center': setting[1],
                    'cosine': float(torch.cosine_similarity(pull, true, dim=0)),
                    'length': float(pull.norm() / true.norm()),
                }


def _gradient(loss: Tensor, detector: torch.nn.Module) -> Tensor:
    parameters = [p for p in detector.parameters() if p.requires_grad]
    parts = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return torch.cat(
        [
            torch.zeros(p.numel()) if part is None else part.flatten()
            for p, part in zip(parameters, parts, strict=True)
        ]
    )


def batches(
    dataset, preprocessor, number: int, size: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, list]]:
    """Batches of patches of random scans, preprocessed."""
    for start in range(0, number * size, size):
        items = [
            branch_in_use(dataset[Draw(int(rng.integers(len(dataset))), draw)])
            for draw in range(start, start + size)
        ]
        batch = {key: [item[key] for item in items] for key in ('inputs', 'data_samples')}
        batch = preprocessor(batch, training=True)
        yield batch['inputs'], batch['data_samples']


def unlabeled_source(config: Config) -> Config:
    """Config of the unlabeled data set.

    Raises:
        UsageError: If training uses none.
    """
    source = config.train_dataloader.dataset.get('datasets', {}).get('unlabeled')
    if source is None:
        raise UsageError(
            f'{config.filename} trains on no unlabeled scans, so there are no guesses '
            'to look at: name a config with a data set `unlabeled`'
        )
    return source


def as_text(rows: list[dict]) -> str:
    """A table in Markdown."""
    lines = [
        list(rows[0]),
        ['---'] * len(rows[0]),
        *(
            [f'{value:.3g}' if isinstance(value, float) else str(value) for value in row.values()]
            for row in rows
        ),
    ]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def main(args: Namespace) -> None:
    trust_checkpoints(args.trust_checkpoint)
    config = load_config(args.config, options=args.cfg_options, semi=args.semi)
    init_default_scope(config.get('default_scope', 'mmdet3d_medical'))
    model = MODELS.build(config.model)
    if not isinstance(model, FocalMixDetector):
        raise UsageError(
            f'{args.config}: expected a FocalMixDetector, found '
            f'{type(model).__name__}: name a config of configs/focalmix'
        )
    put_weights(model, args.checkpoint, args.config)
    if not isinstance(model.targets, AnchorTargets):
        raise UsageError(
            f'{args.config}: guesses of anchors are looked at, but its targets are '
            f'{type(model.targets).__name__}: add --cfg-options '
            "\"model.targets={'_delete_':True,'type':'AnchorTargets'}\""
        )
    model.targets.steps = []  # as they are; sharpened below
    dataset = DATASETS.build(unlabeled_source(config))
    settings = list(itertools.product(args.temperatures, args.centers))
    for setting in settings:
        Sharpen(*setting)  # refuses what it cannot do
    settings = [(t, c) for t, c in settings if t != 1 or c == args.centers[0]]  # T = 1: no center
    diagnosis, rng = Diagnosis(model, settings), np.random.default_rng(args.seed)
    preprocessor = model.data_preprocessor.data_preprocessor
    patches = batches(dataset, preprocessor, args.batches, args.patches, rng)
    for inputs, samples in track(patches, 'Looking', args.batches, transient=True):
        diagnosis.look(inputs, samples, rng)
    tables = diagnosis.tables()
    for name, rows in tables.items():
        print(f'{name}\n\n{as_text(rows)}\n')
    if args.json:
        write_text(args.json, json.dumps(tables, indent=1) + '\n')
