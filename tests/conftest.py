"""Tiny scans on disk, and a small detector with batches, that several tests share."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

TURN = math.radians(10)
DIRECTIONS = {
    'straight': (1, 0, 0, 0, 1, 0, 0, 0, 1),
    'flipped': (-1, 0, 0, 0, -1, 0, 0, 0, 1),
    'turned': (math.cos(TURN), -math.sin(TURN), 0, math.sin(TURN), math.cos(TURN), 0, 0, 0, 1),
    'sagittal': (0, 0, 1, 1, 0, 0, 0, 1, 0),  # index axes run to the back, the head, the left
}
LESION_INDEX = (14.0, 20.0, 12.0)  # x, y, z in the file's own index axes
LESION_MM = 10.0


def make_scan(
    direction,
    lung_hu=-850,
    shape=(24, 36, 32),
    spacing=(0.8, 0.8, 2.0),
    origin=(-60.0, 20.0, -300.0),
):
    """A dark image with one bright ball, and the ball's world position."""
    image = sitk.Image(list(shape[::-1]), sitk.sitkInt16)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)
    offset = (np.indices(shape)[::-1].T - np.array(LESION_INDEX)).T
    distance = np.sqrt(((offset.T * spacing) ** 2).sum(axis=-1)).T
    voxels = np.where(distance < LESION_MM / 2, 50, lung_hu).astype(np.int16)
    filled = sitk.GetImageFromArray(voxels)
    filled.CopyInformation(image)
    return filled, filled.TransformContinuousIndexToPhysicalPoint(LESION_INDEX)


@pytest.fixture(autouse=True)
def own_scope():
    """Undo what a test does to mmengine's default scope, in which names are looked up."""
    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


@pytest.fixture
def luna16_dir(tmp_path):
    """Four scans in LUNA16's layout, one for each of ``DIRECTIONS``, two in each subset."""
    root = tmp_path / 'luna16'
    rows = ['seriesuid,coordX,coordY,coordZ,diameter_mm']
    for number, (scan_id, direction) in enumerate(DIRECTIONS.items()):
        folder = root / f'subset{number % 2}'
        folder.mkdir(parents=True, exist_ok=True)
        image, center = make_scan(direction, lung_hu=-850 - number)
        sitk.WriteImage(image, str(folder / f'{scan_id}.mhd'))
        rows.append(','.join(map(str, (scan_id, *center, LESION_MM))))
    (root / 'annotations.csv').write_text('\n'.join(rows) + '\n')
    return root


def _detector(**changes) -> dict:
    cfg = dict(
        type='DenseDetector3D',
        data_preprocessor=dict(type='VolumeDataPreprocessor', pad_size_divisor=8),
        backbone=dict(
            type='ResNet3D',
            depth=18,
            base_channels=4,
            stem_kernel=3,
            strides=(1, 2, 2),
            out_indices=(0, 1, 2),
            norm_cfg=None,
        ),
        neck=dict(type='FPN3D', in_channels=[4, 8, 16], out_channels=8),
        bbox_head=dict(
            type='Retina3DHead',
            num_classes=1,
            in_channels=8,
            feat_channels=8,
            stacked_convs=1,
            anchor_generator=dict(
                type='Anchor3DGenerator', strides=[2, 4, 8], sizes=[[3, 5], [6, 8], [12, 16]]
            ),
            assigner=dict(type='ATSS3DAssigner', topk=4),
            loss_cls=dict(type='SoftFocalLoss'),
            loss_bbox=dict(type='mmdet.SmoothL1Loss', beta=1 / 9),
        ),
    )
    cfg.update(changes)
    return cfg


def _sample(boxes, labels=None, ignored=()) -> DetDataSample:
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 6)
    ignored = torch.tensor(ignored, dtype=torch.float32).reshape(-1, 6)
    sample = DetDataSample()
    sample.gt_instances = InstanceData(
        bboxes=boxes, labels=torch.zeros(len(boxes), dtype=torch.long) if labels is None else labels
    )
    sample.ignored_instances = InstanceData(
        bboxes=ignored, labels=torch.zeros(len(ignored), dtype=torch.long)
    )
    return sample


def _batch(number, shape, boxes=((3.0, 4, 5, 8, 9, 9),), seed=0) -> dict:
    generator = torch.Generator().manual_seed(seed)
    volumes = [
        torch.randint(-1000, 400, (1, *shape), generator=generator, dtype=torch.int16)
        for _ in range(number)
    ]
    return dict(inputs=volumes, data_samples=[_sample(boxes) for _ in range(number)])


@pytest.fixture
def small_detector():
    """Function that gives the config of a small detector, with any part replaced."""
    return _detector


@pytest.fixture
def make_sample():
    """Function from boxes, labels and ignored boxes to an annotated data sample."""
    return _sample


@pytest.fixture
def make_batch():
    """Function from number and shape to a batch as the data loader gives it."""
    return _batch
