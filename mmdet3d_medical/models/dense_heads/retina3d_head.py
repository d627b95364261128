"""Anchor-based head with one branch for classes and one for boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS

from .anchor3d_head import Anchor3DHead, Outs


@MODELS.register_module()
class Retina3DHead(Anchor3DHead):
    """RetinaNet's head (Lin et al. 2017, arXiv 1708.02002, section 4) on volumes.

    Both branches are shared by all levels.

    Args:
        num_classes: Number of lesion classes; each has a sigmoid of its own.
        in_channels: Channels of the feature maps.
        feat_channels: Width of the branches.
        stacked_convs: Convolutions per branch before the last one.
        norm_cfg: Normalization in the branches. Batch normalization is refused where several
            levels share the branches: their statistics differ, so training works and then
            evaluation with the running mean fails.
        conv_bias: Bias of the convolutions in the branches; 'auto' is where no norm follows.
        prior_prob: Probability that the untrained head gives every anchor.
        init_cfg: As in mmengine's ``BaseModule``.
        **kwargs: All other arguments of :class:`Anchor3DHead`: ``anchor_generator``, ``loss_cls``,
            ``loss_bbox``, ``assigner``, ``bbox_coder``, ``sampler`` and ``ignore_iof``.

    Raises:
        ValueError: For batch normalization over several levels, no coder of boxes, or what
            :class:`Anchor3DHead` refuses.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        feat_channels: int = 256,
        stacked_convs: int = 4,
        norm_cfg: dict | None = None,
        conv_bias: bool | str = 'auto',
        prior_prob: float = 0.01,
        init_cfg: dict | list | None = None,
        **kwargs: Any,
    ):
        super().__init__(num_classes, init_cfg=init_cfg or _default_init(prior_prob), **kwargs)
        _check_shared_norm(norm_cfg, self.anchors.num_levels)
        if not self.num_deltas:
            raise ValueError(
                f'{type(self).__name__} has a branch for boxes, so bbox_coder=None leaves it '
                'without a task: use Pointwise3DHead to predict no boxes'
            )
        part = dict(norm_cfg=norm_cfg, bias=conv_bias)
        self.cls_branch = _branch(in_channels, feat_channels, stacked_convs, **part)
        self.box_branch = _branch(in_channels, feat_channels, stacked_convs, **part)
        channels = feat_channels if stacked_convs else in_channels
        self.classify = nn.Conv3d(channels, self.num_anchors * num_classes, 3, padding=1)
        self.regress = nn.Conv3d(channels, self.num_anchors * self.num_deltas, 3, padding=1)

    def forward(self, feats: Sequence[Tensor], boxes_of: int | None = None) -> Outs:
        """Predict from feature maps.

        Args:
            feats: (B, in_channels, d, h, w) of each level.
            boxes_of: Deltas of the first so many patches are computed, those of all others are 0.
                Default: of all.

        Returns:
            Class logits [(B, A * C, d, h, w)] and box deltas [(B, A * R, d, h, w)] of each level.
        """
        logits = [self.classify(self.cls_branch(x)) for x in feats]
        if boxes_of is None:
            return logits, [self.regress(self.box_branch(x)) for x in feats]
        return logits, [self._some_deltas(x, boxes_of, logits[0].dtype) for x in feats]

    def _some_deltas(self, x: Tensor, number: int, dtype: torch.dtype) -> Tensor:
        shape = len(x) - number, self.regress.out_channels, *x.shape[2:]
        none = x.new_zeros(shape, dtype=dtype)
        return torch.cat([self.regress(self.box_branch(x[:number])), none]) if number else none


def _default_init(prior_prob: float) -> dict:
    """Branches that keep the scale of activations at any width; outputs near the prior."""
    last = dict(type='Normal', std=0.01)
    return dict(
        type='Kaiming',
        layer='Conv3d',
        override=[
            dict(name='classify', bias_prob=prior_prob, **last),
            dict(name='regress', **last),
        ],
    )


def _branch(in_channels: int, width: int, number: int, **part) -> nn.Sequential:
    part = dict(padding=1, conv_cfg=dict(type='Conv3d'), **part)
    return nn.Sequential(
        *(ConvModule(width if i else in_channels, width, 3, **part) for i in range(number))
    )


def _check_shared_norm(norm_cfg: dict | None, num_levels: int) -> None:
    if norm_cfg and 'BN' in norm_cfg['type'] and num_levels > 1:
        raise ValueError(
            f'norm_cfg={norm_cfg["type"]!r} in a head that {num_levels} levels share fails in '
            "evaluation: use dict(type='GN', num_groups=8) or None"
        )
