"""What ``mmdet3d-medical report`` does."""

from __future__ import annotations

import base64
import tempfile
from argparse import Namespace
from pathlib import Path

import numpy as np

from mmdet3d_medical.datasets.index import open_index, volume_path
from mmdet3d_medical.datasets.transforms.loading import open_volume
from mmdet3d_medical.evaluation.functional import FROCResult, Mistake, froc, worst_mistakes
from mmdet3d_medical.evaluation.marks import Marks, check_spelling, read_marks, read_scan_ids
from mmdet3d_medical.evaluation.truth import scans_to_score, truth_of_index
from mmdet3d_medical.inference.report import evaluation_page
from mmdet3d_medical.inference.report.pictures import place_picture
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import write_text
from mmdet3d_medical.visualization.froc import plot_froc

from .draw_detections import lesion_boxes, mark_boxes
from .eval_froc import of_class

SHOWN_FROM = 0.1  # score of the marks in pictures


def main(args: Namespace) -> None:
    marks, truth = read_marks(args.marks), truth_of_index(args.index)
    scans = open_index(args.index)['scans']
    check_spelling(marks.scan_ids, [scan['scan_id'] for scan in scans], args.marks, args.index)
    wanted = read_scan_ids(args.seriesuids) if args.seriesuids else sorted({*marks.scan_ids})
    wanted = {*scans_to_score(wanted, truth)}
    tested = {scan['scan_id']: scan for scan in scans if scan['scan_id'] in wanted}
    if not tested:
        raise UsageError(
            f'{args.index}: none of the {len(wanted)} scans with marks is there and annotated, so '
            'there is nothing to compare with: `predict` writes a report of each scan'
        )
    lesions, ignored, marks = of_class(args.class_name, truth.lesions, truth.ignored, marks)
    unmarked = {s['scan_id'] for s in scans if s['annotated']} - {*tested}
    if unmarked and not args.seriesuids:
        print(
            f'{len(unmarked)} annotated scans of the index have no mark and are left out: if they '
            'were tested, list all scans with --seriesuids'
        )
    result = froc(list(tested), marks, lesions, ignored, bootstraps=args.bootstrap)
    missed, wrong = [], []
    for mistake in worst_mistakes(result, marks, lesions, args.most):
        (missed if mistake.kind == 'missed' else wrong).append(mistake)
    draw = _Drawer(Path(args.index).parent, tested, marks, args.allow_outside)
    groups = {
        'Missed lesions (green)': [draw(mistake) for mistake in missed[: args.most]],
        'Worst false positives (yellow)': [draw(mistake) for mistake in wrong[: args.most]],
    }
    title = f'{Path(args.marks).name} on {len(tested)} scans'
    write_text(args.out, evaluation_page(title, _summary(result), _curve(result), groups))
    print(f'{args.out}: CPM {result.cpm:.3f}, {result.tp} of {result.tp + result.fn} lesions found')


class _Drawer:
    """Pictures of mistakes, a scan being opened once."""

    def __init__(self, root: Path, scans: dict[str, dict], marks: Marks, allow_outside: bool):
        self.root, self.scans, self.marks = root, scans, marks
        self.allow_outside = allow_outside

    def __call__(self, mistake: Mistake) -> dict[str, str]:
        scan = self.scans[mistake.scan_id]
        geometry = VolumeGeometry.from_dict(scan['geometry'])
        path = volume_path(self.root, scan, self.allow_outside)
        volume = open_volume(str(path), geometry, mistake.scan_id)
        found, _ = mark_boxes(self.marks, mistake.scan_id, SHOWN_FROM, geometry)
        boxes = [('lesion', box) for box in lesion_boxes(scan, geometry)]
        boxes += [('finding', box) for box in found]
        middle = geometry.world_to_index(np.array([mistake.center]))[0] + 0.5
        picture = place_picture(volume, geometry.spacing_zyx, middle, boxes)
        return dict(picture=picture, text=_caption(mistake))


def _caption(mistake: Mistake) -> str:
    parts = [mistake.scan_id, ', '.join(f'{value:.1f}' for value in mistake.center) + ' mm']
    if not np.isnan(mistake.diameter):
        parts.append(f'{mistake.diameter:.1f} mm')
    parts.append('no mark' if np.isnan(mistake.score) else f'score {mistake.score:.2f}')
    return '; '.join(parts)


def _summary(result: FROCResult) -> dict[str, str]:
    numbers = result.to_dict()
    low_high = numbers['ci95'].get('cpm')
    interval = f' [{low_high[0]:.3f}, {low_high[1]:.3f}]' if low_high else ''
    rows = {'CPM': f'{result.cpm:.3f}{interval}'}
    for rate, value in numbers['sensitivity'].items():
        rows[f'sensitivity at {rate} false positives a scan'] = f'{value:.3f}'
    return rows | {
        'lesions found': f'{result.tp} of {result.tp + result.fn}',
        'scans': str(result.scans),
    }


def _curve(result: FROCResult) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'froc.png')
        plot_froc({'marks': result}, path)
        return 'data:image/png;base64,' + base64.b64encode(path.read_bytes()).decode()
