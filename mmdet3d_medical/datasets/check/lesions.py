"""Where lesions are annotated, how large they are, and what the voxels show there."""

from collections.abc import Iterator, Sequence

import numpy as np

from mmdet3d_medical.structures import VolumeGeometry

from .problem import ERROR, WARNING, Problem

LARGEST_LESION_MM = 150.0
AIR_BELOW_HU = -950  # the faintest ground glass is denser
FEWEST_VOXELS = 27  # fewer may have one value by chance
FEWEST_LESIONS = 10  # that tell what is usual
FAR_SCORE = 5.0  # robust z-score; LUNA16's largest nodule has 3.4


def lesions_of(scan: dict) -> list[dict]:
    """Instances of a scan that are not to be ignored."""
    return [instance for instance in scan['instances'] if not instance['ignore']]


def check_places(scan: dict, geometry: VolumeGeometry, boxes: np.ndarray) -> Iterator[Problem]:
    """Problems of a scan's axes and of its lesions, without its voxels.

    Args:
        scan: A scan of an index.
        geometry: Of its volume.
        boxes: (N, 6) voxel edges of its lesions.
    """
    axes = np.reshape(geometry.direction, (3, 3))
    if (np.diag(axes) <= 0).any() or (np.abs(axes).argmax(axis=0) != np.arange(3)).any():
        message = (
            'the axes are not nearest to LPS, other scans will look turned: convert from the '
            'original file'
        )
        yield Problem(WARNING, scan['scan_id'], message, 'axes')
    centers = (boxes[:, :3] + boxes[:, 3:]) / 2
    outside = ((centers < 0) | (centers >= geometry.shape)).any(axis=1)
    seen: set[tuple] = set()
    tiny = (boxes[:, 3:] - boxes[:, :3]).max(axis=1) < 1
    for lesion, is_outside, is_tiny in zip(lesions_of(scan), outside, tiny, strict=True):
        width = max(lesion['size'])
        key = (lesion['label'], *np.round(lesion['center'], 1).tolist())
        for level, kind, wrong, message in (
            (ERROR, 'outside', is_outside, 'lies outside the volume'),
            (WARNING, 'tiny', is_tiny, 'is smaller than a voxel'),
            (WARNING, 'huge', width > LARGEST_LESION_MM, f'is {width:.0f} mm wide'),
            (WARNING, 'twice', key in seen, 'is annotated twice'),
        ):
            if wrong:
                yield Problem(level, scan['scan_id'], f'{_where(lesion)} {message}', kind)
        seen.add(key)


def check_content(
    scan: dict, volume: np.ndarray, boxes: np.ndarray, filled: int | None = None
) -> Iterator[Problem]:
    """Lesions in whose box there is nothing to see.

    Args:
        scan: A scan of an index.
        volume: Its voxels (D, H, W) in HU.
        boxes: (N, 6) voxel edges of its lesions.
        filled: HU that the converter put outside the lungs; a lesion in it is a warning.
    """
    starts = np.clip(np.floor(boxes[:, :3]), 0, volume.shape).astype(int).tolist()
    stops = np.clip(np.ceil(boxes[:, 3:]), 0, volume.shape).astype(int).tolist()
    for lesion, start, stop in zip(lesions_of(scan), starts, stops, strict=True):
        voxels = volume[tuple(map(slice, start, stop))]
        if voxels.size < FEWEST_VOXELS:
            continue
        low, high = int(voxels.min()), int(voxels.max())
        if low == high:
            level = WARNING if low == filled else ERROR
            message = f'{_where(lesion)} holds the value {low} only: is it the right place?'
            yield Problem(level, scan['scan_id'], message, 'nothing there')
        elif high < AIR_BELOW_HU:
            message = f'{_where(lesion)} holds air only, up to {high} HU: is it the right place?'
            yield Problem(WARNING, scan['scan_id'], message, 'nothing there')


def check_sizes(scans: Sequence[dict]) -> Iterator[Problem]:
    """Lesions whose size is far from that of the others, by a robust z-score of its logarithm."""
    sizes = np.log([lesion['diameter'] for scan in scans for lesion in lesions_of(scan)])
    if len(sizes) < FEWEST_LESIONS:
        return
    median = np.median(sizes)
    # A spread of 10 % at least: lesions that were all given one size do not make others odd.
    spread = max(1.4826 * np.median(np.abs(sizes - median)), 0.1)
    far = iter((np.abs(sizes - median) > FAR_SCORE * spread).tolist())
    for scan in scans:
        for lesion in lesions_of(scan):
            if next(far):
                message = (
                    f'{_where(lesion)} has a diameter of {lesion["diameter"]:.1f} mm, the median '
                    f'of {len(sizes)} is {np.exp(median):.1f} mm'
                )
                yield Problem(WARNING, scan['scan_id'], message, 'size')


def _where(lesion: dict) -> str:
    return f'lesion at {np.round(lesion["center"], 1).tolist()} mm'
