"""Reading, orienting, cropping and resampling of scans, by SimpleITK."""

import locale
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from mmdet3d_medical.structures import VolumeGeometry

from .formats import check_files

AIR = -1024
NO_AIR_HU = -300  # a CT of the body has air in or around it, and lower values
MAX_HU = int(np.iinfo(np.int16).max)
SAME_LABEL = 1e-3  # programs that resample or scale masks leave less
MAX_LABEL = int(np.iinfo(np.uint32).max)
UNSIGNED = sitk.sitkUInt8, sitk.sitkUInt16, sitk.sitkUInt32


def read_image(path: str | Path) -> sitk.Image:
    """Read a 3D scalar image and turn it so that its axes are nearest to LPS.

    Afterwards x runs to the left, y to the back, z to the head, whatever order the file has. A
    rotation by less than that stays, in the direction matrix.

    Raises:
        ValueError: If the file is missing, not whole (:func:`.formats.check_files`), unreadable or
            not a 3D scalar image, or if its axes are not perpendicular.
    """
    path = Path(path)
    if not path.is_file():  # of other formats too
        raise ValueError(f'{path}: no such file, or not a regular one')
    check_files(path)
    try:
        with _kept_locale():
            image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(
            f'{path}: cannot be read as an image; is it, or the data file that its '
            f'header names, missing or cut off? ({reason})'
        ) from None
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(
            f'{path}: expected a 3D image with one value a voxel, found '
            f'{image.GetDimension()} dimensions and '
            f'{image.GetNumberOfComponentsPerPixel()} values'
        )
    try:
        VolumeGeometry.from_sitk(image)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None
    return orient(image)


@contextmanager
def _kept_locale() -> Iterator[None]:
    """Put the locale back that ITK's reader of VTK sets to "C", in which text is ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def orient(image: sitk.Image) -> sitk.Image:
    """Turn an image by flips and exchanges of axes so that these are nearest to LPS."""
    filters = sitk.DICOMOrientImageFilter
    if filters.GetOrientationFromDirectionCosines(image.GetDirection()) == 'LPS':
        return image  # a copy of a whole scan takes as long as reading it
    return sitk.DICOMOrient(image, 'LPS')


def turned_axes(direction: Sequence[float]) -> np.ndarray:
    """(3, 3): columns are the axes x, y, z, as :func:`orient` turns them, of a scan.

    Args:
        direction: The scan's own matrix, row-major, as SimpleITK gives it.
    """
    voxel = sitk.Image([1, 1, 1], sitk.sitkUInt8)
    voxel.SetDirection(direction)
    return np.reshape(orient(voxel).GetDirection(), (3, 3))


def read_axes(path: str | Path) -> np.ndarray:
    """:func:`turned_axes` of a file, by its header alone.

    Raises:
        RuntimeError: If the header cannot be read.
        ValueError: If it is not that of a 3D image with perpendicular axes.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with _kept_locale():
        reader.ReadImageInformation()
    return turned_axes(VolumeGeometry.from_sitk(reader).direction)


def read_hu(path: str | Path) -> sitk.Image:
    """Read a CT as int16 HU; what lies below air, the filling outside the field of view, is air.

    Raises:
        ValueError: As :func:`read_image`, and for values that are not finite or above ``MAX_HU``.
    """
    return as_hu(read_image(path), path)


def as_hu(image: sitk.Image, name: str | Path) -> sitk.Image:
    """An image as :func:`read_hu` gives it; ``name`` is what messages call it."""
    values = sitk.GetArrayViewFromImage(image)
    if values.dtype.kind == 'f' and not np.isfinite(values).all():
        raise ValueError(f'{name}: has values that are not finite, HU were expected')
    if values.dtype != np.int16 and values.max() > MAX_HU:
        raise ValueError(
            f'{name}: has a value of {values.max():g}, HU up to {MAX_HU} were '
            'expected: is it stored in another unit or type?'
        )
    return to_int16(image)


def crop(image: sitk.Image, start: Sequence[int], stop: Sequence[int]) -> sitk.Image:
    """Cut voxels ``start`` to ``stop`` (z, y, x)."""
    (z1, y1, x1), (z2, y2, x2) = map(int, start), map(int, stop)
    return image[x1:x2, y1:y2, z1:z2]


def resample(image: sitk.Image, spacing: Sequence[float]) -> sitk.Image:
    """Resample HU linearly to a spacing (z, y, x) in mm.

    The first voxel's outer corner stays where it is; the last voxel's may move by up to half a
    new voxel.
    """
    geometry = VolumeGeometry.from_sitk(image)
    ratio = np.asarray(spacing, float) / geometry.spacing_zyx
    if np.allclose(ratio, 1, atol=1e-6):
        return image
    shape = np.maximum(np.rint(np.array(geometry.shape) / ratio), 1).astype(int)
    origin = geometry.index_to_world((ratio / 2 - 0.5)[None])[0]
    resampled = sitk.Resample(
        image,
        shape[::-1].tolist(),
        sitk.Transform(),
        sitk.sitkLinear,
        origin.tolist(),
        [float(s) for s in spacing[::-1]],
        image.GetDirection(),
        AIR,
        sitk.sitkFloat32,
        True,
    )
    return to_int16(resampled)


def label_boxes(labels: sitk.Image) -> dict[int, np.ndarray]:
    """Tight voxel boxes (z1, y1, x1, z2, y2, x2) of the values of a label image, 0 left out."""
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.ComputePerimeterOff()
    statistics.Execute(labels)
    boxes = {}
    for label in statistics.GetLabels():
        corner, extent = np.reshape(statistics.GetBoundingBox(label), (2, 3))[:, ::-1]
        boxes[label] = np.concatenate([corner, corner + extent])
    return boxes


def read_labels(path: str | Path) -> sitk.Image:
    """Read a mask as labels, uint32.

    Raises:
        ValueError: As :func:`read_image`, and for values that are no labels: probabilities say, or
            negative ones. Those within ``SAME_LABEL`` of an integer are rounded to it.
    """
    image = read_image(path)
    if image.GetPixelID() in UNSIGNED:
        return sitk.Cast(image, sitk.sitkUInt32)
    values = sitk.GetArrayViewFromImage(image)
    rounded = np.rint(values) if values.dtype.kind == 'f' else values
    # float32 does not know MAX_LABEL, but the next integer.
    right = (rounded >= 0) & (rounded < MAX_LABEL + 1.0) & (abs(values - rounded) <= SAME_LABEL)
    if not right.all():
        raise ValueError(
            f'{path}: has a value of {values[~right][0]:.9g}, but a mask must hold '
            f'labels, integers from 0 to {MAX_LABEL}: is it one of probabilities?'
        )
    labels = sitk.GetImageFromArray(rounded.astype(np.uint32))
    labels.CopyInformation(image)
    return labels


def to_int16(image: sitk.Image) -> sitk.Image:
    """HU from air upwards, rounded: ITK's own conversions cut fractions off, toward 0."""
    if image.GetPixelID() == sitk.sitkInt16 and sitk.GetArrayViewFromImage(image).min() >= AIR:
        return image
    if image.GetPixelID() in (sitk.sitkFloat32, sitk.sitkFloat64):
        image = sitk.Round(image)
    return sitk.Clamp(image, sitk.sitkInt16, AIR, MAX_HU)
