"""From the dict of a pipeline to what a detector takes."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet3d_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackVolumeInputs(BaseTransform):
    """Pack volume, boxes and meta information.

    Returns ``inputs``, a tensor (C, D, H, W) in HU, and ``data_samples``, a
    :class:`mmdet.structures.DetDataSample` with ``gt_instances`` and ``ignored_instances``
    (``bboxes`` (N, 6) float32, ``labels`` (N,) int64, and ``scores`` (N,) where the boxes have soft
    scores) and the meta information ``scan_id``, ``geometry``, ``scan_geometry``, ``volume_shape``,
    ``annotated`` and ``draw``.

    Args:
        meta_keys: Further keys of the pipeline's dict to keep as meta information, where present.
    """

    META_KEYS = ('scan_id', 'geometry', 'scan_geometry', 'annotated', 'draw')

    def __init__(self, meta_keys: tuple[str, ...] = ()) -> None:
        self.meta_keys = (*self.META_KEYS, *meta_keys)

    def transform(self, results: dict) -> dict:
        volume, ignored = results['volume'], results['gt_ignore_flags']
        sample = DetDataSample(
            metainfo={
                'volume_shape': tuple(volume.shape[-3:]),
                **{key: results[key] for key in self.meta_keys if key in results},
            }
        )
        sample.gt_instances = pack_instances(results, ~ignored)
        sample.ignored_instances = pack_instances(results, ignored)
        return dict(inputs=torch.from_numpy(np.ascontiguousarray(volume)), data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'


def pack_instances(results: dict, chosen: np.ndarray) -> InstanceData:
    """The chosen (N,) boxes of the pipeline's dict with their labels and soft scores."""
    instances = InstanceData(
        bboxes=torch.from_numpy(results['gt_bboxes'][chosen]),
        labels=torch.from_numpy(results['gt_bboxes_labels'][chosen]),
    )
    if 'gt_bboxes_scores' in results:
        instances.scores = torch.from_numpy(results['gt_bboxes_scores'][chosen])
    return instances
