"""FROC and average precision of a detector on a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmdet3d_medical.registry import METRICS
from mmdet3d_medical.utils.files import check_writable

from ..functional.average_precision import IOU_THRESHOLDS, ScanBoxes, average_precision
from ..functional.froc import FP_RATES, FROCResult, froc
from ..marks import Findings, Marks, check_spelling, write_marks
from ..table import froc_table
from ..truth import read_truth


@METRICS.register_module()
class FROCMetric(BaseMetric):
    """FROC by LUNA16's rules in world millimeters, and AP at 3D IoU 0.1 to 0.5.

    Lesions come from the samples: from the meta information ``instances`` where present, which has
    the annotation's own center and diameter, else from ``gt_instances`` and
    ``ignored_instances``, a box's diameter being its mean extent in mm. Scans that are not
    annotated are left out of the scores; their marks are still written.

    Results, under the prefix ``froc``: ``cpm``; ``sens@RATE`` for each rate; ``AP@IOU`` and their
    mean ``mAP``. With several classes these are means over the classes that have lesions, and
    ``cpm_CLASS`` is added. With bootstraps and one class, ``cpm_low`` and ``cpm_high`` are the
    95 % confidence interval.

    Args:
        annotations: File of lesions to score against instead of those of the samples, see
            :func:`..truth.read_truth`. Every scan then counts as annotated, unless an index says
            that it is not, or a review does not name it.
        excluded: CSV file of findings on which marks count neither way. It is used with
            ``annotations`` only.
        fp_rates: False positives per scan at which sensitivity is reported.
        max_marks: Most marks that count in one scan.
        bootstraps: Resamplings over scans for the confidence interval.
        seed: Seed of the resampling.
        out: CSV file to write the marks to.
        out_min_score: Lowest score of a mark to write to ``out``; scores count all marks.
        classes: Class names; by default the data set's.
        collect_device: See mmengine's ``BaseMetric``.
        prefix: See mmengine's ``BaseMetric``.
        collect_dir: See mmengine's ``BaseMetric``.

    Raises:
        ValueError: If ``excluded`` is given without ``annotations``, or a file is not as expected.
        OSError: Naming ``out``, if it cannot be written; told before the test, not after it.
    """

    default_prefix = 'froc'

    def __init__(
        self,
        annotations: str | None = None,
        excluded: str | None = None,
        fp_rates: Sequence[float] = FP_RATES,
        max_marks: int = 100,
        bootstraps: int = 0,
        seed: int = 0,
        out: str | None = None,
        out_min_score: float | None = None,
        classes: Sequence[str] | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        if excluded and not annotations:
            raise ValueError(
                f'FROCMetric has excluded={excluded!r} but no annotations: give both files or none'
            )
        self.annotations = annotations
        self.excluded = excluded
        self.options = dict(
            fp_rates=tuple(fp_rates), max_marks=max_marks, bootstraps=bootstraps, seed=seed
        )
        if out:
            check_writable(out)
        self.out, self.out_min_score = out, out_min_score
        self.classes = classes

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what scoring needs of each sample: its marks and its lesions.

        Args:
            data_batch: Not used.
            data_samples: With ``scan_id``, ``geometry``, ``pred_instances`` and, where annotated,
                lesions (see above); boxes in voxels of that geometry.
        """
        self.results.extend(_summary(sample) for sample in data_samples)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Write the marks, then score the annotated scans.

        Args:
            results: Of all scans, from all processes.

        Returns:
            Scores by name; empty where no scan is annotated or no lesion is in any.
        """
        classes = list(self.classes or (self.dataset_meta or {}).get('classes') or ['lesion'])
        names = classes if len(classes) > 1 else ['']
        marks = Marks.from_rows(row for result in results for row in _mark_rows(result, names))
        if self.out:
            self._write(marks)
        annotated, *findings = self._findings(results, names)
        scores = self._froc_of_classes(annotated, marks, findings, classes) if annotated else {}
        if not scores:
            print_log(
                f'FROC skipped: no lesion is annotated in the {len(results)} scans '
                f'({len(annotated)} of them annotated)',
                'current',
            )
            return {}
        print_log('\n' + froc_table({classes[label]: s for label, s in scores.items()}), 'current')
        return {
            **_froc_scores(scores, classes),
            **_ap_scores(_precisions(annotated, len(classes))),
        }

    def _write(self, marks: Marks) -> None:
        lowest = self.out_min_score
        written = marks if lowest is None else marks.of_score(lowest)
        write_marks(self.out, written)
        left_out = len(marks.scores) - len(written.scores)
        rest = f'; {left_out} below {lowest:g} left out' if left_out else ''
        print_log(f'{len(written.scores)} marks written to {self.out}{rest}', 'current')

    def _froc_of_classes(
        self,
        results: list[dict],
        marks: Marks,
        findings: Sequence[Findings],
        classes: list[str],
    ) -> dict[int, FROCResult]:
        """FROC of each label that has lesions."""
        scan_ids = [result['scan_id'] for result in results]
        tables = (marks, *findings)
        scores = {
            label: froc(scan_ids, *(table.of_class(name) for table in tables), **self.options)
            for label, name in enumerate(classes)
        }
        return {label: score for label, score in scores.items() if score.tp + score.fn}

    def _findings(
        self, results: list[dict], names: list[str]
    ) -> tuple[list[dict], Findings, Findings]:
        """Results of annotated scans, lesions to find, findings that count neither way."""
        if not self.annotations:
            annotated = [result for result in results if result['annotated']]
            return annotated, *_findings_of_samples(annotated, names)
        truth = read_truth(self.annotations, self.excluded)
        scan_ids = [result['scan_id'] for result in results]
        check_spelling(truth.named, scan_ids, self.annotations)
        check_spelling(truth.ignored.scan_ids, scan_ids, self.excluded or self.annotations)
        unannotated = truth.unannotated_among(scan_ids)
        annotated = [result for result in results if result['scan_id'] not in unannotated]
        return annotated, truth.lesions, truth.ignored


def _findings_of_samples(results: list[dict], names: list[str]) -> tuple[Findings, Findings]:
    """Lesions to find, and findings that count neither way."""
    lesions, ignored = (
        Findings.from_rows(
            (result['scan_id'], lesion['center'], lesion['diameter'], names[lesion['label']])
            for result in results
            for lesion in result['instances']
            if bool(lesion['ignore']) == ignore
        )
        for ignore in (False, True)
    )
    return lesions, ignored


def _summary(sample: dict) -> dict:
    """What scoring needs of a sample, small and picklable: numpy and plain types."""
    geometry, found = sample['geometry'], _arrays(sample['pred_instances'])
    centers, sizes = geometry.box_to_world(found['bboxes'])
    lesions = {
        key: _arrays(sample[key]) if key in sample else None
        for key in ('gt_instances', 'ignored_instances')
    }
    instances = sample.get('instances')
    if instances is None:
        instances = list(_instances_of_boxes(lesions, geometry))
    return dict(
        scan_id=sample['scan_id'],
        annotated=bool(sample.get('annotated', True)),
        instances=instances,
        lesions=lesions,
        found=found,
        centers=centers,
        diameters=sizes.mean(axis=1),
        sizes=geometry.extents_to_world(sizes),
    )


def _arrays(instances: dict) -> dict[str, np.ndarray]:
    """Boxes, labels and, where present, scores as numpy arrays."""
    return {
        key: instances[key].detach().double().cpu().numpy()
        for key in ('bboxes', 'labels', 'scores')
        if key in instances
    }


def _instances_of_boxes(lesions: dict, geometry) -> Iterator[dict]:
    for key, boxes in lesions.items():
        if boxes is None:
            continue
        for center, size, label in zip(
            *geometry.box_to_world(boxes['bboxes']), boxes['labels'], strict=True
        ):
            yield dict(
                center=center,
                diameter=size.mean(),
                label=int(label),
                ignore=key == 'ignored_instances',
            )


def _mark_rows(result: dict, names: list[str]) -> Iterator[tuple]:
    found = result['found']
    highest = int(found['labels'].max(initial=0))
    if highest >= len(names):
        raise ValueError(
            f'scan {result["scan_id"]}: the model found class number {highest} (counted from 0), '
            f'but the data set has {len(names)}: set model.bbox_head.num_classes to '
            f'{len(names)}, or name all classes in FROCMetric(classes=...)'
        )
    classes = (names[int(label)] for label in found['labels'])
    columns = (
        result['centers'], found['scores'], result['diameters'], classes, result['sizes'],
    )  # fmt: skip
    for row in zip(*columns, strict=True):
        yield (result['scan_id'], *row)


def _froc_scores(scores: dict[int, FROCResult], classes: list[str]) -> dict[str, float]:
    results = [score.to_dict() for score in scores.values()]
    metrics = {'cpm': float(np.mean([result['cpm'] for result in results]))}
    for rate in results[0]['sensitivity']:
        metrics[f'sens@{rate}'] = float(np.mean([r['sensitivity'][rate] for r in results]))
    if len(classes) > 1:
        metrics |= {f'cpm_{classes[label]}': score.cpm for label, score in scores.items()}
    elif results[0]['ci95']:
        metrics['cpm_low'], metrics['cpm_high'] = results[0]['ci95']['cpm']
    return metrics


def _precisions(results: list[dict], num_classes: int) -> np.ndarray:
    """(C, T) average precision of each class that has boxes to find."""
    rows = [
        average_precision([_boxes_of_class(result, label) for result in results])
        for label in range(num_classes)
    ]
    return np.array([row for row in rows if not np.isnan(row).any()])


def _boxes_of_class(result: dict, label: int) -> ScanBoxes:
    parts = [result['found'], *result['lesions'].values()]
    found, truth, ignored = (
        {key: values[part['labels'] == label] for key, values in part.items()} if part else {}
        for part in parts
    )
    none = np.zeros((0, 6))
    return ScanBoxes(
        found['bboxes'], found['scores'], truth.get('bboxes', none), ignored.get('bboxes', none)
    )


def _ap_scores(precisions: np.ndarray) -> dict[str, float]:
    if not len(precisions):
        return {}
    means = dict(zip(IOU_THRESHOLDS, precisions.mean(0).tolist(), strict=True))
    shown = {f'AP@{threshold:g}': means[threshold] for threshold in (0.1, 0.2, 0.3, 0.4, 0.5)}
    return {'mAP': float(precisions.mean()), **shown}
