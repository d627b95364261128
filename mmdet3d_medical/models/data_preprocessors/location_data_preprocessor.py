"""Volumes together with where each voxel lies in its scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import VolumeGeometry

from .volume_data_preprocessor import VolumeDataPreprocessor

_AXES = 3


@MODELS.register_module()
class LocationDataPreprocessor(VolumeDataPreprocessor):
    """Append three channels, the position z, y, x of each voxel, as DeepLung's network asks for.

    (Zhu et al. 2018, arXiv 1801.09555.) From -0.5 at one end of the scan as it was converted, so
    with ``--crop lungs`` of the lungs, to 0.5 at the other; beyond its ends as at the nearest
    voxel. The positions follow from the geometries of patch and scan: crops, zooms, mirroring and
    exchanges of axes need no care. The three channels keep the scan's own order z, y, x.

    Args:
        **kwargs: Those of :class:`VolumeDataPreprocessor`.
    """

    added_channels = _AXES

    def forward(self, data: dict, training: bool = False) -> dict:
        """Batch of the samples, see :class:`VolumeDataPreprocessor`.

        Args:
            data: With ``data_samples``, each with the meta information ``geometry``, and
                ``scan_geometry`` where it is a part of a scan.
            training: Not used.

        Returns:
            ``inputs`` (B, C + 3, D', H', W') and ``data_samples``.

        Raises:
            ValueError: If a sample does not tell its geometry.
        """
        batch = super().forward(data, training)
        inputs, samples = batch['inputs'], batch['data_samples'] or ()
        metas = [sample.metainfo for sample in samples] or [{}] * len(inputs)
        location = [self._location(meta, (0, 0, 0), inputs.shape[2:]) for meta in metas]
        return dict(batch, inputs=torch.cat([inputs, torch.stack(location)], dim=1))

    def prepare(self, part: Tensor, start: Sequence[int], meta: Mapping) -> Tensor:
        """Part of a scan with its positions, see :class:`VolumeDataPreprocessor`."""
        image = super().prepare(part, start, meta)
        return torch.cat([image, self._location(meta, start, part.shape[1:])])

    def _location(self, meta: Mapping, first: Sequence[int], shape: Sequence[int]) -> Tensor:
        """(3, D, H, W) of the part of a patch that begins at voxel ``first`` (z, y, x)."""
        if meta.get('geometry') is None:
            raise ValueError(
                f'scan {meta.get("scan_id")}: LocationDataPreprocessor needs the meta information '
                '"geometry", which PackVolumeInputs keeps, to tell where a patch lies'
            )
        scan = meta.get('scan_geometry') or meta['geometry']
        start, steps = (self._column(part) for part in _affine(meta['geometry'], scan))
        index = start
        for axis, (low, side) in enumerate(zip(first, shape, strict=True)):
            places = [side if other == axis else 1 for other in range(_AXES)]
            voxels = torch.arange(low, low + side, device=self.device).view(places)
            index = index + steps[axis] * voxels
        sides = self._column(np.array(scan.shape))
        index = torch.minimum(index.clamp(min=0), sides - 1)
        return (index + 0.5) / sides - 0.5

    def _column(self, values: np.ndarray) -> Tensor:
        """(..., 3) numbers, one for each channel, as (..., 3, 1, 1, 1)."""
        values = torch.as_tensor(values, dtype=torch.float32, device=self.device)
        return values[..., None, None, None]


def _affine(patch: VolumeGeometry, scan: VolumeGeometry) -> tuple[np.ndarray, np.ndarray]:
    """Index (3,) in the scan of a patch's first voxel, and its change (3, 3) along each axis."""
    corners = np.concatenate([np.zeros((1, _AXES)), np.eye(_AXES)])
    index = scan.world_to_index(patch.index_to_world(corners))
    index = np.ascontiguousarray(index)  # torch takes no reversed arrays
    return index[0], index[1:] - index[0]
