"""Head without neighbors: it looks at each cell by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mmdet3d_medical.registry import MODELS

from .anchor3d_head import Anchor3DHead, Outs


@MODELS.register_module()
class Pointwise3DHead(Anchor3DHead):
    """1 x 1 x 1 convolutions on one or several levels.

    DeepLung (arXiv 1801.09555) predicts classes and boxes from one hidden layer (``shared``),
    DeepSEED (arXiv 1904.03501) from one each; S4ND (arXiv 1805.02279) has none
    (``feat_channels=0``).

    Args:
        num_classes: Number of lesion classes; each has a sigmoid of its own.
        in_channels: Channels of the feature maps.
        feat_channels: Width of the hidden layer; 0 for none.
        shared: Whether classes and boxes share it.
        dropout: Probability that a feature is dropped before it, in [0, 1).
        channel_dropout: Whether a feature is dropped in all cells of a patch at once, as in the
            code of the authors of DeepLung and DeepSEED.
        prior_prob: Probability that the untrained head gives every anchor.
        init_cfg: As in mmengine's ``BaseModule``.
        **kwargs: All other arguments of :class:`Anchor3DHead`: ``anchor_generator``, ``loss_cls``,
            ``loss_bbox``, ``assigner``, ``bbox_coder``, ``sampler`` and ``ignore_iof``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        feat_channels: int = 64,
        shared: bool = True,
        dropout: float = 0.5,
        channel_dropout: bool = False,
        prior_prob: float = 0.01,
        init_cfg: dict | list | None = None,
        **kwargs: Any,
    ):
        super().__init__(num_classes, init_cfg=init_cfg, **kwargs)
        self.init_cfg = init_cfg or _default_init(prior_prob, has_boxes=self.num_deltas > 0)
        self.shared = shared or not (feat_channels and self.num_deltas)
        self.dropout = (nn.Dropout3d if channel_dropout else nn.Dropout)(dropout)
        self.hidden = _hidden(in_channels, feat_channels)
        self.box_hidden = nn.Identity() if self.shared else _hidden(in_channels, feat_channels)
        channels = feat_channels or in_channels
        self.classify = nn.Conv3d(channels, self.num_anchors * num_classes, 1)
        if self.num_deltas:
            self.regress = nn.Conv3d(channels, self.num_anchors * self.num_deltas, 1)

    def forward(self, feats: Sequence[Tensor]) -> Outs:
        """Class logits [(B, A * C, d, h, w)] and box deltas [(B, A * R, d, h, w)] of each level."""
        levels = [self._level(self.dropout(x)) for x in feats]
        return [logits for logits, _ in levels], [deltas for _, deltas in levels]

    def _level(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.hidden(x)
        logits = self.classify(hidden)
        if not self.num_deltas:
            return logits, logits[:, :0]
        return logits, self.regress(hidden if self.shared else self.box_hidden(x))


def _hidden(in_channels: int, channels: int) -> nn.Module:
    if not channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv3d(in_channels, channels, 1), nn.ReLU(inplace=True))


def _default_init(prior_prob: float, has_boxes: bool) -> dict:
    last = dict(type='Normal', std=0.01)
    override = [dict(name='classify', bias_prob=prior_prob, **last)]
    if has_boxes:
        override.append(dict(name='regress', **last))
    return dict(type='Kaiming', layer='Conv3d', override=override)
