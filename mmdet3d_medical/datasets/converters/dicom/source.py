"""The voxels of a DICOM series, and what tells whether they changed."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from mmdet3d_medical.structures import VolumeGeometry

from ..cache import ScanSource, file_stamps
from ..formats import file_notes
from ..image_io import orient, turned_axes
from .pixels import PixelError, read_slice
from .rules import Series


@dataclasses.dataclass(frozen=True)
class DicomSource(ScanSource):
    """The slices of one series. Paths, which may name patients, stay out of all it says.

    ``image`` is the first slice's file.
    """

    slices: tuple[str, ...] = ()
    geometry: VolumeGeometry | None = None

    @classmethod
    def from_series(cls, series: Series) -> 'DicomSource':
        return cls(
            series.series,
            Path(series.paths[0]),
            patient=series.patient,
            slices=series.paths,
            geometry=series.geometry,
        )

    @property
    def name(self) -> str:
        return f'series {self.scan_id}'

    def read(self) -> sitk.Image:
        """The volume in HU, int16, its axes nearest to LPS.

        Raises:
            ValueError: Naming series and slice, if one cannot be decoded.
        """
        volume = np.empty(self.geometry.shape, np.int16)
        for number in range(len(self.slices)):
            volume[number] = self._read_slice(number)
        image = sitk.GetImageFromArray(volume)
        image.SetOrigin(self.geometry.origin)
        image.SetSpacing(self.geometry.spacing)
        image.SetDirection(self.geometry.direction)
        return orient(image)

    def _read_slice(self, number: int) -> np.ndarray:
        """Slice (H, W) in HU; its slope and intercept may differ from another's."""
        try:
            return read_slice(self.slices[number])
        except PixelError as error:
            raise ValueError(
                f'{self.name}: slice {number + 1} of {len(self.slices)} cannot be decoded: {error}'
            ) from None

    def axes(self) -> np.ndarray:
        """As of any scan, by the headers of the slices."""
        return turned_axes(self.geometry.direction)

    def stamps(self) -> dict[str, list]:
        """Number of files and a digest of their sizes and times and of the geometry."""
        states = [os.stat(path) for path in self.slices]
        content = json.dumps(
            [
                [[state.st_size, state.st_mtime_ns] for state in states],
                self.geometry.to_dict(),
                self.lesion_mask and file_stamps(self.lesion_mask),
            ]
        )
        return {'dicom': [len(states), hashlib.sha256(content.encode()).hexdigest()]}

    def notes(self) -> dict[str, str]:
        """What the user should know of the mask; the slices tell by :mod:`.rules`."""
        return file_notes([self.lesion_mask] if self.lesion_mask else [])
