"""Tiny scans on disk that several tests share."""
import math

import numpy as np
import pytest
import SimpleITK as sitk

TURN = math.radians(10)
DIRECTIONS = {
    'straight': (1, 0, 0, 0, 1, 0, 0, 0, 1),
    'flipped': (-1, 0, 0, 0, -1, 0, 0, 0, 1),
    'turned': (math.cos(TURN), -math.sin(TURN), 0, math.sin(TURN), math.cos(TURN), 0, 0, 0, 1),
    'sagittal': (0, 0, 1, 1, 0, 0, 0, 1, 0),  # index axes run to the back, the head, the left
}
LESION_INDEX = (14.0, 20.0, 12.0)  # x, y, z in the file's own index axes
LESION_MM = 10.0


def make_scan(direction, lung_hu=-850, shape=(24, 36, 32), spacing=(0.8, 0.8, 2.0),
              origin=(-60.0, 20.0, -300.0)):
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
