"""FocalMix around a small detector, and a detector small enough to reason about."""

import weakref

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import nn

from mmdet3d_medical.models.dense_heads import DenseTargets
from mmdet3d_medical.models.losses import SoftFocalLoss
from mmdet3d_medical.models.task_modules import Anchor3DGenerator
from mmdet3d_medical.registry import MODELS


class BlockHead(nn.Module):
    """Scores a prior by the mean of the voxels in its box, so it commutes with all views.

    Sizes minus strides must be even. Its boxes are the priors themselves.
    """

    def __init__(self, stride, sizes, offset=0.5):
        super().__init__()
        self.anchors = Anchor3DGenerator([stride], [sizes], center_offset=offset)
        self.scale = nn.Parameter(torch.ones(()))
        self.bias = nn.Parameter(torch.zeros(()))
        self.loss_cls = SoftFocalLoss()

    def forward(self, volume):
        stride, means = self.anchors.strides[0], []
        for size in self.anchors.base_sizes[0].int().tolist():
            padding = [(a - s) // 2 for a, s in zip(size, stride, strict=True)]
            means.append(F.avg_pool3d(volume, size, stride, padding))
        return dict(means=torch.cat(means, 1) * self.scale + self.bias, note='not a tensor')

    def priors(self, shape):
        return self.anchors.grid_priors(self.anchors.featmap_sizes(shape))[0]

    def flatten(self, outs):
        logits = outs['means'].permute(0, 2, 3, 4, 1).flatten(1)[..., None]
        return logits, logits.new_zeros(*logits.shape[:2], 6)

    def decode(self, priors, deltas):
        return priors + deltas

    def get_targets(self, priors, gt_instances, metas):
        cls = torch.zeros(len(gt_instances), len(priors), 1)
        for row, instances in zip(cls, gt_instances, strict=True):
            for box in instances.bboxes:
                row[(priors == box).all(1)] = 1
        weight = torch.ones(cls.shape[:2])
        return DenseTargets(cls, weight, torch.zeros(*weight.shape, 6), torch.zeros_like(weight))

    def loss_by_targets(self, outs, targets):
        logits, _ = self.flatten(outs)
        number = targets.num_positives()
        return dict(
            loss_cls=self.loss_cls(logits, targets.cls, targets.cls_weight, number),
            loss_bbox=logits.sum() * 0,
        )


@MODELS.register_module(force=True)
class BlockDetector(BaseModel):
    """Only what FocalMix asks of a detector; what a box contains is its score."""

    def __init__(self, stride=2, sizes=(2,), offset=0.5, norm=False):
        super().__init__()
        self.norm = nn.BatchNorm3d(1) if norm else nn.Identity()
        self.bbox_head = BlockHead(stride, sizes, offset)

    def extract_feat(self, inputs):
        return self.norm(inputs)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.bbox_head(self.extract_feat(inputs))


@pytest.fixture
def block_detector():
    """Class of a detector that commutes with all views that its priors allow."""
    return BlockDetector


@pytest.fixture
def focalmix(small_detector):
    """Function that builds a FocalMix detector around the small one."""

    def build(detector=None, **cfg):
        torch.manual_seed(0)
        cfg = {'type': 'FocalMixDetector', 'detector': detector or small_detector(), **cfg}
        model = MODELS.build(cfg)
        model.init_weights()
        return model

    return build


@pytest.fixture
def watch():
    """Function that watches what modules put out: [is it still in memory?] of all calls so far."""

    def start(*modules):
        maps = []
        for module in modules:
            module.register_forward_hook(
                lambda module, inputs, out: maps.append(weakref.ref(out.untyped_storage()))
            )
        return lambda: [ref() is not None for ref in maps]

    return start


@pytest.fixture
def make_branches(make_batch):
    """Function that gives a batch of labeled and unlabeled patches, as a data loader does."""

    def make(sup=2, unsup=3, shape=(16, 16, 16)):
        parts = dict(sup=make_batch(sup, shape), unsup=make_batch(unsup, shape, (), seed=1))
        parts = {name: part for name, part in parts.items() if part['inputs']}
        return {
            key: {name: part[key] for name, part in parts.items()}
            for key in ('inputs', 'data_samples')
        }

    return make
