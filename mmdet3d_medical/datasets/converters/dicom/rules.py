"""Which series of a DICOM study can be used, and which one is. Documented in ``docs/data.md``."""

import dataclasses
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch

import numpy as np

from mmdet3d_medical.structures import VolumeGeometry

from .headers import CommonHeader, ImageHeader
from .words import kernel_word, modality_word

CT_IMAGE = '1.2.840.10008.5.1.4.1.1.2'  # SOP class, one slice a file
SAME_PLACE_MM = 0.01
SAME_DIRECTION = 1e-3  # of the components of unit vectors
UNEVEN = 0.2  # of the distance of slices; positions are often rounded to 0.1 mm
SIDEWAYS_MM = 1.0  # how far slices may shift over the whole series
MAX_TILT = 0.5  # degrees
WORD_BITS = (8, 16, 32)
HU_TYPES = ('', 'HU', 'US')  # not said, Hounsfield units, unspecified
PREFERENCES = ('kernel', 'thickness', 'slices')


class LeftOutError(ValueError):
    """A series that a rule leaves out.

    Args:
        reason: The rule, in words that are the same for all series.
        detail: What was found in this one.
    """

    def __init__(self, reason: str, detail: str = '') -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclasses.dataclass(frozen=True)
class SeriesRules:
    """What a series must be like, and which one of a study is taken.

    Args:
        max_thickness: In mm, for the thickness of slices and for their distance. Defaults to
            2.5, LUNA16's limit.
        min_slices: At least 2. Defaults to 50.
        max_angle: Between the axis of the stack and that of the body, in degrees, below 45.
            Defaults to 15.
        kernels: Patterns of convolution kernels, as of file names, upper and lower case the same,
            the best first; others are left out. Defaults to none: every kernel will do.
        prefer: What decides between the series of a study, first things first: 'kernel' (the
            earlier pattern), 'thickness' (the thinner slices), 'slices' (more of them). What is
            equal in all is decided by the series id.
        all_series: Take every series that the rules allow. Defaults to False.
    """

    max_thickness: float = 2.5
    min_slices: int = 50
    max_angle: float = 15.0
    kernels: tuple[str, ...] = ()
    prefer: tuple[str, ...] = PREFERENCES
    all_series: bool = False

    def __post_init__(self) -> None:
        if not self.max_thickness > 0:
            raise ValueError(f'max_thickness must be positive, found {self.max_thickness} mm')
        if self.min_slices < 2:
            raise ValueError(f'min_slices must be at least 2, found {self.min_slices}')
        if not 0 <= self.max_angle < 45:
            raise ValueError(f'max_angle must lie in [0, 45) degrees, found {self.max_angle}')
        if unknown := set(self.prefer) - set(PREFERENCES):
            raise ValueError(f'prefer takes {", ".join(PREFERENCES)}, found {sorted(unknown)}')


@dataclasses.dataclass(frozen=True)
class Series:
    """A series that can be used.

    Args:
        series: Its id.
        study: Id of its study.
        paths: Files, from the first slice of the volume to the last.
        geometry: Where the voxels lie.
        thickness: The larger one of slice thickness and distance of slices, in mm, to 0.01.
        kernel: Convolution kernel, empty if unknown.
        note: What was left out of it.
        patient: Name of the patient that tells nothing of him or her.
    """

    series: str
    study: str
    paths: tuple[str, ...]
    geometry: VolumeGeometry
    thickness: float
    kernel: str
    note: str = ''
    patient: str | None = None


def group_series(headers: Iterable[ImageHeader]) -> dict[str, list[ImageHeader]]:
    """Images by series id, sorted by it."""
    groups: dict[str, list[ImageHeader]] = {}
    for header in headers:
        groups.setdefault(header.common.series, []).append(header)
    return dict(sorted(groups.items()))


def check_series(headers: Sequence[ImageHeader], rules: SeriesRules) -> Series:
    """Apply the rules to the images of one series.

    Raises:
        LeftOutError: By the first rule that the series breaks.
    """
    images = [h for h in headers if 'LOCALIZER' not in h.common.image_type]
    if not images:
        raise LeftOutError('localizer')
    images, note = _without_copies(images), ''
    if len(images) < len(headers):
        note = f'{len(headers) - len(images)} localizer images or copies of files left out'
    commons = sorted({h.common for h in images}, key=repr)
    common, patient = _check_common(commons, rules), _check_patient(commons)
    images, geometry = _stack(images, common, rules)
    thickness = round(max(common.thickness or 0.0, geometry.spacing[2]), 2)
    if thickness > rules.max_thickness:
        raise LeftOutError('thick slices', f'{thickness:g} mm')
    return Series(
        common.series,
        common.study,
        tuple(h.path for h in images),
        geometry,
        thickness,
        common.kernel,
        note,
        patient,
    )


def choose(
    candidates: Iterable[Series], rules: SeriesRules, annotated: Iterable[str] = ()
) -> list[list[Series]]:
    """Put the series of each study into order.

    Args:
        candidates: Series that passed :func:`check_series`.
        rules: ``prefer`` gives the order; with ``all_series``, each series is a study.
        annotated: Ids of series that have annotations: they go before all others.

    Returns:
        The series of each study, the best first.
    """
    annotated = set(annotated)
    studies: dict[str, list[Series]] = {}
    for series in candidates:
        studies.setdefault(series.series if rules.all_series else series.study, []).append(series)
    return [
        sorted(study, key=lambda s: (s.series not in annotated, *_rank(s, rules), s.series))
        for _, study in sorted(studies.items())
    ]


def _rank(series: Series, rules: SeriesRules) -> list[float]:
    ranks = dict(
        kernel=_kernel_rank(series.kernel, rules.kernels),
        thickness=series.thickness,
        slices=-len(series.paths),
    )
    return [ranks[name] for name in rules.prefer]


def _kernel_rank(kernel: str, patterns: Sequence[str]) -> int:
    """Place of the first pattern that fits, ``len(patterns)`` if none does."""
    fits = [fnmatch(kernel.lower(), pattern.lower()) for pattern in patterns]
    return [*fits, True].index(True)


def _without_copies(images: Sequence[ImageHeader]) -> list[ImageHeader]:
    """One file, the first, for each image: folders are often copied."""
    kept: dict[tuple, ImageHeader] = {}
    for image in images:
        kept.setdefault((image.uid or image.path, image.position), image)
    return list(kept.values())


def _check_common(commons: Sequence[CommonHeader], rules: SeriesRules) -> CommonHeader:
    """Check what does not depend on positions.

    Args:
        commons: The different headers in a series.
        rules: The rules.

    Returns:
        One of them, the one with the thickest slices.
    """
    for common in commons:
        if common.modality != 'CT':
            raise LeftOutError('not CT', f'modality {modality_word(common.modality)}')
        if common.frames != 1:
            raise LeftOutError('several slices a file', 'only one slice a file is read')
        if common.sop_class != CT_IMAGE:
            raise LeftOutError('not CT', 'another kind of object than CT images')
        if None in (common.shape, common.orientation, common.spacing):
            raise LeftOutError('no geometry', 'size, orientation or pixel spacing is missing')
        if not min(common.shape + common.spacing) > 0:
            raise LeftOutError('no geometry', 'size or pixel spacing is not positive')
        if not common.rescale or not common.rescale[0] or common.rescale_type not in HU_TYPES:
            raise LeftOutError('not HU', 'no rescaling to HU is given')
        _check_pixels(common)
        if abs(common.tilt) > MAX_TILT:
            raise LeftOutError('gantry tilt', f'{common.tilt:g} degrees')
    for name, tolerance in dict(shape=0, orientation=SAME_DIRECTION, spacing=1e-4).items():
        values = np.array([getattr(common, name) for common in commons])
        if (np.ptp(values, axis=0) > tolerance).any():
            raise LeftOutError(f'mixed {name}', f'{len(values)} kinds of images in one series')
    if len({common.kernel for common in commons}) > 1:
        raise LeftOutError('mixed kernel', f'{len(commons)} kinds of images in one series')
    if rules.kernels and _kernel_rank(commons[0].kernel, rules.kernels) == len(rules.kernels):
        raise LeftOutError('kernel', kernel_word(commons[0].kernel) or 'unknown')
    return max(commons, key=lambda common: common.thickness or 0.0)


def _check_pixels(common: CommonHeader) -> None:
    """Check that pixels are single integers that slope and intercept turn into HU."""
    if common.lut:
        raise LeftOutError('not HU', 'a table in place of slope and intercept')
    if common.samples != 1 or common.photometric not in ('MONOCHROME1', 'MONOCHROME2'):
        raise LeftOutError('pixel format', 'not one gray value a pixel')
    if common.bits is None:
        raise LeftOutError('pixel format', 'bits or sign of the pixels are missing')
    allocated, stored, high, signed = common.bits
    if allocated not in WORD_BITS or not 1 <= stored <= allocated or signed not in (0, 1):
        raise LeftOutError('pixel format', f'{stored:g} of {allocated:g} bits, sign {signed:g}')
    if high != stored - 1:
        raise LeftOutError('pixel format', f'{stored:g} bits of which the highest is {high:g}')


def _check_patient(commons: Sequence[CommonHeader]) -> str | None:
    """The patient of all images, ``None`` if no image names one."""
    patients = {common.patient for common in commons} - {None}
    if len(patients) > 1:
        raise LeftOutError('mixed patient', f'{len(patients)} patients in one series')
    return next(iter(patients), None)


def _stack(
    images: Sequence[ImageHeader], common: CommonHeader, rules: SeriesRules
) -> tuple[list[ImageHeader], VolumeGeometry]:
    """Order images along the normal of their plane and check that they lie on a regular grid."""
    axes = _axes(common.orientation)
    angle = np.degrees(np.arccos(min(1.0, abs(axes[2, 2]))))
    if angle > rules.max_angle:
        raise LeftOutError('not axial', f'{angle:.0f} degrees from the body axis')
    if len(images) < rules.min_slices:
        raise LeftOutError('few slices', f'{len(images)}')
    if any(image.position is None for image in images):
        raise LeftOutError('no geometry', 'an image has no position')
    heights = np.array([image.position for image in images]) @ axes[2]
    order = np.argsort(heights, kind='stable')
    images = [images[k] for k in order]
    step = _check_distances(heights[order])
    _check_straight(np.array([image.position for image in images]), axes[2])
    (rows, columns), (row_mm, column_mm) = common.shape, common.spacing
    return images, VolumeGeometry(
        images[0].position,
        (column_mm, row_mm, step),
        axes.T.ravel(),
        (len(images), int(rows), int(columns)),
    )


def _axes(orientation: Sequence[float]) -> np.ndarray:
    """(3, 3): orthonormal vectors along a row, down a column and across the plane, one a row."""
    row, column = np.reshape(orientation, (2, 3))
    lengths = np.linalg.norm([row, column], axis=1)
    if (abs(lengths - 1) > SAME_DIRECTION).any() or abs(row @ column) > SAME_DIRECTION:
        raise LeftOutError('no geometry', 'the orientation is no pair of perpendicular directions')
    row = row / lengths[0]
    column = column - (column @ row) * row  # headers are often rounded to three digits
    column /= np.linalg.norm(column)
    return np.stack([row, column, np.cross(row, column)])


def _check_distances(heights: np.ndarray) -> float:
    """Check that sorted heights (N,) in mm are evenly spaced; returns their distance."""
    gaps = np.diff(heights)
    doubles = int((gaps < SAME_PLACE_MM).sum())
    if doubles:
        raise LeftOutError('duplicate slices', f'{doubles} at the place of another')
    step = float(gaps.mean())
    if (abs(heights - heights[0] - step * np.arange(len(heights))) > UNEVEN * step).any():
        multiples = gaps / np.median(gaps)
        if (abs(multiples - np.rint(multiples)) > UNEVEN).any() or multiples.min() < 0.5:
            raise LeftOutError('uneven slices', f'{gaps.min():g} to {gaps.max():g} mm apart')
        raise LeftOutError('missing slices', f'{int((np.rint(multiples) - 1).sum())} missing')
    return round(step, 6)  # 2.5 again, and not 2.4999999999


def _check_straight(positions: np.ndarray, normal: np.ndarray) -> None:
    """Check that positions (N, 3) in mm lie above one another."""
    offsets = positions - positions[0]
    shift = np.linalg.norm(offsets - np.outer(offsets @ normal, normal), axis=1).max()
    if shift > SIDEWAYS_MM:
        raise LeftOutError('gantry tilt', f'slices shift sideways by {shift:.1f} mm')
