"""Filling outside the lungs, against hand-made masks and scipy's dilation."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from mmdet3d_medical.datasets.converters import ConvertSettings, convert_luna16
from mmdet3d_medical.datasets.converters.lung_mask import count_outside_lungs, fill_outside_lungs

SPACING, ORIGIN = (0.7, 0.8, 2.0), (-10.0, 20.0, -300.0)


def to_image(voxels, direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(direction)
    return image


def fill(tmp_path, voxels, labels, value=0, dilation=0):
    sitk.WriteImage(to_image(labels), str(tmp_path / 'mask.mhd'), True)
    filled = fill_outside_lungs(to_image(voxels), tmp_path / 'mask.mhd', value, dilation)
    return filled if filled is None else sitk.GetArrayFromImage(filled)


@pytest.fixture
def voxels():
    return np.random.default_rng(0).integers(-900, 250, (5, 24, 40)).astype(np.int16)


@pytest.fixture
def labels():
    """Two lungs, 6 x 6 x 2 voxels each, and a trachea between them."""
    labels = np.zeros((5, 24, 40), np.uint8)
    labels[1:3, 4:10, 4:10], labels[1:3, 4:10, 20:26], labels[1:4, 6:8, 14:16] = 3, 4, 5
    return labels


def test_all_but_the_lungs_is_replaced(tmp_path, voxels, labels):
    found = fill(tmp_path, voxels, labels, -500)
    lungs = (labels == 3) | (labels == 4)
    np.testing.assert_array_equal(found, np.where(lungs, voxels, -500))


@pytest.mark.parametrize('dilation', [1, 3, 10])
def test_rim_is_that_of_repeated_dilation(tmp_path, voxels, labels, dilation):
    lungs = (labels == 3) | (labels == 4)
    kept = ndimage.binary_dilation(lungs, ndimage.generate_binary_structure(3, 1), dilation)
    assert 0 < kept.sum() < kept.size
    np.testing.assert_array_equal(
        fill(tmp_path, voxels, labels, 7, dilation), np.where(kept, voxels, 7)
    )


def test_bone_is_replaced_in_the_rim_alone(tmp_path, voxels, labels):
    voxels[:] = 100
    voxels[1, 6, 6] = voxels[1, 6, 10] = 290  # in the lung, and one beside it
    voxels[1, 7, 10] = 289  # gray value 210 after 255 / 1800 and cutting off, 290 is 211
    assert [int((hu + 1200) / 1800 * 255) for hu in (289, 290)] == [210, 211]
    found = fill(tmp_path, voxels, labels, 0, 2)
    assert found[1, 6, 6] == 290 and found[1, 6, 10] == 0 and found[1, 7, 10] == 289


def test_bays_are_filled_up_unless_they_are_large(tmp_path, voxels, labels):
    labels[:] = 0
    labels[2, 4:12, 4:12] = 3
    labels[2, 6:8, 9:12] = 0  # a bay of 6 voxels in 64
    labels[3, 4:20, 4] = labels[3, 19, 4:30] = 3  # an L: its hull is much larger
    kept = labels == 3
    kept[2, 4:12, 4:12] = True
    np.testing.assert_array_equal(fill(tmp_path, voxels, labels), np.where(kept, voxels, 0))


def test_lungs_have_hulls_of_their_own(tmp_path, voxels, labels):
    """One hull around both would hold what is between them."""
    assert (fill(tmp_path, voxels, labels)[1, 4:10, 10:20] == 0).all()


def test_mask_on_another_grid_and_without_lungs(tmp_path, voxels, labels):
    upside_down = to_image(labels[:, ::-1, ::-1].copy(), (-1, 0, 0, 0, -1, 0, 0, 0, 1))
    corner = to_image(labels).TransformIndexToPhysicalPoint((39, 23, 0))
    upside_down.SetOrigin(corner)
    sitk.WriteImage(upside_down, str(tmp_path / 'flipped.mhd'))
    found = fill_outside_lungs(to_image(voxels), tmp_path / 'flipped.mhd', 0, 2)
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(found), fill(tmp_path, voxels, labels, 0, 2)
    )
    assert fill(tmp_path, voxels, np.where(labels == 5, labels, 0)) is None


def test_points_are_looked_up_in_the_mask(tmp_path, labels):
    mask = to_image(labels, (0, 1, 0, -1, 0, 0, 0, 0, 1))
    sitk.WriteImage(mask, str(tmp_path / 'mask.mhd'), True)
    inside = [mask.TransformIndexToPhysicalPoint(index) for index in ((4, 4, 1), (25, 9, 2))]
    outside = [
        mask.TransformIndexToPhysicalPoint(index)
        for index in ((3, 4, 1), (14, 6, 1), (26, 9, 2), (25, 9, 3), (-5, 6, 1), (4, 4, 9))
    ]
    assert count_outside_lungs(tmp_path / 'mask.mhd', np.array(inside)) == 0
    assert count_outside_lungs(tmp_path / 'mask.mhd', np.array(inside + outside)) == 6


def test_filled_scans_of_a_conversion(luna16_dir, tmp_path):
    """Crop and filling together: the volume is the filled scan, cropped."""
    image = sitk.ReadImage(str(luna16_dir / 'subset1/flipped.mhd'))
    labels = np.zeros((24, 36, 32), np.uint8)
    labels[5:20, 6:30, 4:12], labels[5:20, 6:30, 18:28] = 3, 4
    mask = sitk.GetImageFromArray(labels)
    mask.CopyInformation(image)
    (luna16_dir / 'seg-lungs-LUNA16').mkdir()
    sitk.WriteImage(mask, str(luna16_dir / 'seg-lungs-LUNA16/flipped.mhd'), True)
    settings = ConvertSettings(crop='lungs', margin=4, outside=0, dilation=1)
    report = convert_luna16(luna16_dir, tmp_path / 'out', settings)
    assert report.not_filled == ['sagittal', 'straight', 'turned']  # they have no mask
    lungs = ndimage.binary_dilation(labels > 0)
    expected = np.where(lungs, sitk.GetArrayFromImage(image), 0)[:, ::-1, ::-1]
    # margins of 5 voxels of 0.8 mm and 2 of 2 mm around z 5..20, y 36 - 30..36 - 6, x 4..28
    np.testing.assert_array_equal(
        np.load(tmp_path / 'out/volumes/flipped.npy'), expected[3:22, 1:35, 0:32]
    )
