"""A scan with findings, straight or turned."""

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.inference import Findings, Lesion
from mmdet3d_medical.inference.scans import scan_in_memory


def make_image(direction=(1, 0, 0, 0, 1, 0, 0, 0, 1), shape=(20, 30, 40), spacing=(1.0, 1.5, 2.0)):
    """A CT with air, noise and a bright ball."""
    generator = np.random.default_rng(0)
    voxels = generator.normal(-850, 20, shape)
    place = np.indices(shape) - np.array([10, 14, 20])[:, None, None, None]
    distance = np.sqrt(((place.T * spacing[::-1]) ** 2).sum(-1)).T
    voxels[distance < 5] = 40
    image = sitk.GetImageFromArray(voxels.astype(np.int16))
    image.SetSpacing(spacing)
    image.SetOrigin((-20, 30, -100))
    image.SetDirection(np.ravel(direction).astype(float).tolist())
    return image


@pytest.fixture
def image():
    return make_image()


@pytest.fixture
def make_findings():
    """Findings in an image, of boxes in the voxels of the image as it is stored."""

    def make(image, boxes, scores=None, notes=()):
        scan = scan_in_memory(image, 'scan')
        boxes = np.reshape(boxes, (-1, 6)).astype(float)
        centers, sizes = scan.geometry.box_to_world(boxes)
        extents = scan.geometry.extents_to_world(sizes)
        scores = scores or [0.9 - 0.1 * k for k in range(len(boxes))]
        lesions = tuple(
            Lesion(tuple(c.tolist()), tuple(s.tolist()), float(s.mean()), score, 'nodule')
            for c, s, score in zip(centers, extents, scores, strict=True)
        )
        return Findings('scan', scan.geometry, lesions, 'small', 0.1, notes, ('nodule',), scan)

    return make
