"""What ``mmdet3d-medical draw-detections`` does."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmdet3d_medical.datasets.index import open_index, volume_path
from mmdet3d_medical.datasets.transforms.loading import open_volume
from mmdet3d_medical.evaluation.marks import Marks, check_spelling, read_marks
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import replacing
from mmdet3d_medical.visualization.slices import WIDE, BoxLayer, points_to_show, slice_figure


def choose_scan(scans: Sequence[dict], marks: Marks, scan_id: str | None) -> dict:
    """The scan that is asked for, else of those with marks the one with most lesions.

    Where there are no marks at all, as with a high ``--min-score`` of the test, any scan will do.
    """
    wanted = {scan_id} if scan_id else {*marks.scan_ids} or {scan['scan_id'] for scan in scans}
    found = [scan for scan in scans if scan['scan_id'] in wanted]
    if not found:
        raise UsageError(
            f'None of the scans {", ".join(sorted(wanted)[:3])} is in '
            'the index: give the index of the data that were tested.'
        )
    return max(found, key=lambda scan: len(lesions_of(scan)))


def lesions_of(scan: dict) -> list[dict]:
    return [instance for instance in scan['instances'] if not instance['ignore']]


def lesion_boxes(scan: dict, geometry: VolumeGeometry) -> np.ndarray:
    """(N, 6) voxel boxes of the lesions."""
    lesions = lesions_of(scan)
    centers = np.reshape([lesion['center'] for lesion in lesions], (-1, 3))
    return geometry.world_to_box(centers, np.reshape([i['size'] for i in lesions], (-1, 3)))


def mark_boxes(
    marks: Marks, scan_id: str, min_score: float, geometry: VolumeGeometry
) -> tuple[np.ndarray, np.ndarray]:
    """(M, 6) voxel boxes of a scan's marks and their (M,) scores, surest first."""
    chosen = (np.array(marks.scan_ids) == scan_id) & (marks.scores >= min_score)
    order = np.flatnonzero(chosen)[np.argsort(-marks.scores[chosen], kind='stable')]
    sizes = geometry.extents_from_world(np.nan_to_num(marks.extents()[order], nan=10.0))
    return geometry.world_to_box(marks.centers[order], sizes), marks.scores[order]


def main(args: Namespace) -> None:
    marks, scans = read_marks(args.marks), open_index(args.index)['scans']
    check_spelling(marks.scan_ids, [scan['scan_id'] for scan in scans], args.marks, args.index)
    scan = choose_scan(scans, marks, args.scan)
    geometry = VolumeGeometry.from_dict(scan['geometry'])
    path = volume_path(Path(args.index).parent, scan, args.allow_outside)
    volume = open_volume(str(path), geometry, scan['scan_id'])
    lesions = lesion_boxes(scan, geometry)
    detections, scores = mark_boxes(marks, scan['scan_id'], args.min_score, geometry)
    figure = slice_figure(
        volume,
        points_to_show(lesions, detections, args.rows, volume.shape),
        [
            BoxLayer(lesions, 'lime', width=WIDE),
            BoxLayer(detections, 'red', [f'{score:.2f}' for score in scores]),
        ],
        spacing=geometry.spacing_zyx,
        title=f'{scan["scan_id"]}: {len(lesions)} lesions (green), '
        f'{len(detections)} detections of at least {args.min_score:g} (red)',
    )
    with replacing(args.out) as file:
        figure.savefig(file, dpi=110)
    print(f'{args.out}: scan {scan["scan_id"]}')
