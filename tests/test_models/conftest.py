"""A small detector and batches for it."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData


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
