"""Anchor-free head: one box for each cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmdet3d_medical.registry import MODELS

from .retina3d_head import Retina3DHead


@MODELS.register_module()
class FCOS3DHead(Retina3DHead):
    """FCOS's head (Tian et al. 2019, arXiv 1904.01355) on volumes.

    It is :class:`Retina3DHead` with the cell itself, one stride around the cell's center, in the
    place of anchors: the branches, losses and ignored boxes are the same, cells are assigned by
    where they lie in a lesion, and boxes are distances from the cell's center.

    There is no branch for centerness. Its aim is to lower the scores of cells near a
    lesion's faces; center sampling never trains these cells to score high. One probability for
    each cell is also what lets semi-supervised training replace targets.

    Args:
        num_classes: Number of lesion classes; each has a sigmoid of its own.
        in_channels: Channels of the feature maps.
        strides: Of each level in voxels, from fine to coarse, each one number or (z, y, x).
        assigner: Config of the assignment of cells.
        bbox_coder: Config of a coder of boxes, from cells.
        **kwargs: All other arguments of :class:`Retina3DHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        strides: Sequence[int | Sequence[int]],
        assigner: dict = dict(type='CenterSampling3DAssigner'),  # noqa: B006 (never changed)
        bbox_coder: dict = dict(type='DistanceBox3DCoder'),  # noqa: B006
        **kwargs: Any,
    ):
        cells = dict(type='Anchor3DGenerator', strides=strides, sizes=[[s] for s in strides])
        super().__init__(
            num_classes,
            in_channels,
            anchor_generator=cells,
            assigner=assigner,
            bbox_coder=bbox_coder,
            **kwargs,
        )
