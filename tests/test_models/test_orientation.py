"""Marks in millimeters do not move when a file stores the same scan in another orientation."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from mmengine.dataset import pseudo_collate

from mmdet3d_medical.datasets import VolumeDetDataset, write_index
from mmdet3d_medical.datasets.converters import ConvertSettings, convert_volumes
from mmdet3d_medical.evaluation.marks import read_marks
from mmdet3d_medical.evaluation.metrics import FROCMetric
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import VolumeGeometry

CODES = ('LPS', 'RAI', 'SPL', 'ARI', 'ILA')  # where index axes x, y, z point to
SHAPE, SPACING = (16, 24, 32), (0.8, 1.1, 2.0)  # z, y, x and x, y, z
LESION = (22.5, 14.5, 6.5)  # index x, y, z: the middle of a prior
TURN = math.radians(20)
OBLIQUE = (math.cos(TURN), -math.sin(TURN), 0, math.sin(TURN), math.cos(TURN), 0, 0, 0, 1)


def make_scan(direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    """A dark, noisy image with one ball that is bright in the middle, and where that lies."""
    offset = (np.indices(SHAPE)[::-1].T - np.array(LESION)).T
    ball = 900 * np.exp(-(offset**2).sum(0) / 18)
    noise = np.random.default_rng(0).normal(-900, 40, SHAPE)
    image = sitk.GetImageFromArray((noise + ball).astype(np.int16))
    image.SetSpacing(SPACING)
    image.SetOrigin((-60.0, 20.0, -300.0))
    image.SetDirection(direction)
    return image, image.TransformContinuousIndexToPhysicalPoint(LESION)


def convert(images, root):
    """As a user does."""
    for name, image in images.items():
        sitk.WriteImage(image, str(root / f'{name}.mhd'))
    convert_volumes([root / f'{name}.mhd' for name in images], [], root / 'data', ConvertSettings())


def write_as_they_are(images, root):
    """An index by hand, whose volumes keep the axes of the file."""
    scans = []
    (root / 'data').mkdir()
    for name, image in images.items():
        np.save(root / 'data' / f'{name}.npy', sitk.GetArrayFromImage(image))
        geometry = VolumeGeometry.from_sitk(image).to_dict()
        scans.append(
            dict(
                scan_id=name, annotated=False, instances=[], volume=f'{name}.npy', geometry=geometry
            )
        )
    write_index(
        root / 'data' / 'index.json',
        dict(classes=['lesion'], spacing=None, settings={}, scans=scans),
    )


@pytest.fixture
def detect(small_detector, block_detector, tmp_path):
    """Function from images by name to marks by name, through files, data set and metric."""

    @torch.no_grad()
    def run(images, write, **test_cfg):
        write(images, tmp_path)
        model = MODELS.build(small_detector(test_cfg=dict(score_thr=0.33, **test_cfg)))
        model.backbone, model.neck = torch.nn.Identity(), None
        model.bbox_head = block_detector(stride=2, sizes=(4,)).bbox_head
        pipeline = [dict(type='LoadVolume'), dict(type='PackVolumeInputs')]
        scans = VolumeDetDataset(str(tmp_path / 'data'), pipeline=pipeline, test_mode=True)
        metric = FROCMetric(out=str(tmp_path / 'marks.csv'))
        metric.dataset_meta = scans.metainfo
        for number in range(len(scans)):
            samples = model.eval().test_step(pseudo_collate([scans[number]]))
            metric.process(None, [sample.to_dict() for sample in samples])
        metric.evaluate(len(scans))
        marks = read_marks(tmp_path / 'marks.csv')
        ids = np.array(marks.scan_ids)
        return {
            name: np.column_stack([marks.centers, 100 * marks.scores])[ids == name]
            for name in images
        }

    return run


def in_space(marks):
    """Marks in the order of their places: some of the noise have the same score."""
    return marks[np.lexsort(marks[:, :3].round(1).T)]


@pytest.mark.parametrize('write', [convert, write_as_they_are])
@pytest.mark.parametrize(
    'test_cfg',
    [
        dict(),
        dict(tile_size=16, tile_overlap=8),
        dict(tta=dict(), merge='wbc'),
    ],
    ids=['whole', 'tiles', 'tta'],
)
def test_marks_stay_where_they_are(detect, write, test_cfg):
    image, position = make_scan()
    found = detect({code: sitk.DICOMOrient(image, code) for code in CODES}, write, **test_cfg)
    first = found[CODES[0]]
    assert len(first) > 3
    np.testing.assert_allclose(first[0, :3], position, atol=1e-3)
    for code in CODES[1:]:
        np.testing.assert_allclose(in_space(found[code]), in_space(first), atol=2e-3)


def test_marks_turn_with_the_scan(detect):
    straight, oblique = make_scan(), make_scan(OBLIQUE)
    images = dict(straight=straight[0], oblique=oblique[0])
    found = detect(images, write_as_they_are)
    np.testing.assert_allclose(found['oblique'][0, :3], oblique[1], atol=1e-3)
    for name, image in images.items():
        index = [
            image.TransformPhysicalPointToContinuousIndex(mark[:3].tolist()) for mark in found[name]
        ]
        found[name] = np.column_stack([index, found[name][:, 3]])
    np.testing.assert_allclose(*map(in_space, found.values()), atol=2e-3)
