"""What ``mmdet3d-medical draw-mixup`` does."""

from argparse import Namespace

import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.registry import init_default_scope

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.datasets import Draw, branch_in_use
from mmdet3d_medical.datasets.transforms import ImageMixUp, ObjectMixUp
from mmdet3d_medical.registry import DATASETS
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import replacing
from mmdet3d_medical.visualization.slices import HU_WINDOW, BoxLayer, draw_slice, lesion_points

TRIES = 8  # samples looked at for each patch drawn, in search of large lesions
MARGIN = 1.5  # what a picture of a lesion shows around it, in extents of the lesion


def draw_samples(dataset, number: int, rng: np.random.Generator) -> list[dict]:
    """Samples of random scans, of a few times as many those with the largest lesions."""
    samples = [
        branch_in_use(dataset[Draw(int(rng.integers(len(dataset))), count)])
        for count in range(TRIES * number)
    ]
    return sorted(
        samples, key=lambda sample: lesion_sizes(boxes_of(sample)).max(initial=0.0), reverse=True
    )[:number]


def boxes_of(sample: dict) -> np.ndarray:
    """Voxel boxes (N, 6) of the lesions of a sample."""
    return sample['data_samples'].gt_instances.bboxes.numpy()


def lesion_sizes(boxes: np.ndarray) -> np.ndarray:
    """Largest extents (N,) in voxels."""
    return (boxes[:, 3:] - boxes[:, :3]).max(axis=1)


def stack(samples: list[dict]) -> torch.Tensor:
    """Patches (B, 1, D, H, W) in HU, cut to the window, as a detector cuts them before mixing."""
    shapes = {tuple(sample['inputs'].shape) for sample in samples}
    if len(shapes) > 1:
        raise UsageError(
            f'Patches must have one shape to be mixed, found {sorted(shapes)}: crop '
            'them in the pipeline of the config.'
        )
    return torch.stack([sample['inputs'].float() for sample in samples]).clamp(*HU_WINDOW)


def show(
    ax, volume: torch.Tensor, position: float, layers: list[BoxLayer], spacing, title: str
) -> None:
    """An axial slice of one patch (C, D, H, W)."""
    draw_slice(ax, volume[0].numpy(), 0, position, layers, spacing)
    ax.set_title(title, fontsize=9)


def show_patches(
    rows,
    inputs: torch.Tensor,
    boxes: list[np.ndarray],
    spacings: list,
    mixup: ImageMixUp,
    rng: np.random.Generator,
) -> None:
    """Image-level MixUp: each patch with the next one."""
    partner = torch.arange(len(inputs)).roll(-1)
    lam = torch.from_numpy(mixup.draw_lambda(len(inputs), rng))
    mixed = mixup.mix_inputs(inputs, partner, lam)
    for k, row in enumerate(rows):
        other = int(partner[k])
        own, theirs = BoxLayer(boxes[k]), BoxLayer(boxes[other], 'orange')
        position = lesion_points(boxes[k], inputs.shape[2:])[0, 0]
        show(row[0], inputs[k], position, [own], spacings[k], 'patch')
        show(row[1], inputs[other], position, [theirs], spacings[other], 'partner')
        show(
            row[2], mixed[k], position, [own, theirs], spacings[k], f'mixed, lambda = {lam[k]:.2f}'
        )


def show_objects(
    rows,
    inputs: torch.Tensor,
    boxes: list[np.ndarray],
    spacings: list,
    mixup: ObjectMixUp,
    rng: np.random.Generator,
) -> None:
    """Object-level MixUp: lesions before and after."""
    mixed, _, partner, lam = mixup.mix(inputs, [torch.from_numpy(part) for part in boxes], rng)
    owners = np.repeat(np.arange(len(boxes)), [len(part) for part in boxes])
    lesions = np.concatenate(boxes)
    largest = np.argsort(-lesion_sizes(lesions), kind='stable')
    for k, row in zip(largest, rows, strict=False):
        parts = (
            (inputs, k, 'lime', 'lesion'),
            (inputs, int(partner[k]), 'orange', 'partner'),
            (mixed, k, 'lime', f'mixed, lambda = {lam[k]:.2f}'),
        )
        for ax, (volumes, number, color, title) in zip(row, parts, strict=True):
            z, y, x = (lesions[number, :3] + lesions[number, 3:]) / 2
            reach = MARGIN * lesion_sizes(lesions[[number]])[0]
            show(
                ax,
                volumes[owners[number]],
                z,
                [BoxLayer(lesions[[number]], color)],
                spacings[owners[number]],
                title,
            )
            ax.set(xlim=(x - reach, x + reach), ylim=(y + reach, y - reach))


def draw_figure(samples: list[dict], objects: int, eta: float, rng: np.random.Generator) -> Figure:
    """Figure with a row for each patch, then one for each lesion if there are at least two."""
    inputs = stack(samples)
    boxes = [boxes_of(sample) for sample in samples]
    spacings = [sample['data_samples'].geometry.spacing_zyx for sample in samples]
    number = sum(map(len, boxes))
    objects = min(objects, number) if number > 1 else 0
    figure = Figure(figsize=(9, 3.2 * (len(samples) + objects)), layout='constrained')
    rows = figure.subplots(len(samples) + objects, 3, squeeze=False)
    show_patches(rows[: len(samples)], inputs, boxes, spacings, ImageMixUp(eta), rng)
    show_objects(rows[len(samples) :], inputs, boxes, spacings, ObjectMixUp(eta), rng)
    return figure


def main(args: Namespace) -> None:
    if args.patches < 2:
        raise UsageError(f'--patches {args.patches}: mixing needs at least 2.')
    config = load_config(args.config, options=args.cfg_options, semi=args.semi)
    init_default_scope(config.get('default_scope', 'mmdet3d_medical'))
    dataset, rng = DATASETS.build(config.train_dataloader.dataset), np.random.default_rng(args.seed)
    samples = draw_samples(dataset, args.patches, rng)
    figure = draw_figure(samples, args.objects, args.eta, rng)
    with replacing(args.out) as file:
        figure.savefig(file, dpi=90)
    lesions = sum(len(boxes_of(sample)) for sample in samples)
    print(f'{args.out}: {len(samples)} patches with {lesions} lesions')
