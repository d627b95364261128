import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from mmdet3d_medical.evaluation.marks import read_marks
from mmdet3d_medical.evaluation.metrics import FROCMetric
from mmdet3d_medical.registry import METRICS
from mmdet3d_medical.structures import VolumeGeometry

# Voxels of 1 x 1 x 2 mm (x, y, z), first voxel's center at (-10, 20, -30), x axis reversed.
GEOMETRY = VolumeGeometry(
    origin=(-10, 20, -30),
    spacing=(1, 1, 2),
    direction=(-1, 0, 0, 0, 1, 0, 0, 0, 1),
    shape=(40, 64, 64),
)
LESION = [10.0, 20, 30, 14, 28, 38]  # 8 mm cube: center voxel edge (12, 24, 34)
LESION_CENTER = (-10 - 33.5, 20 + 23.5, -30 + 2 * 11.5)
FAR = [30.0, 2, 2, 34, 10, 10]


def boxes(rows):
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)


def make_sample(scan_id, found=(), truth=(), ignored=(), **meta):
    """A sample from [(box, score, label)], [(box, label)], [(box, label)]."""
    sample = DetDataSample(metainfo={'scan_id': scan_id, 'geometry': GEOMETRY, **meta})
    sample.pred_instances = InstanceData(
        bboxes=boxes([row[0] for row in found]),
        scores=torch.tensor([row[1] for row in found]),
        labels=torch.tensor([row[2] for row in found], dtype=torch.int64),
    )
    for key, rows in (('gt_instances', truth), ('ignored_instances', ignored)):
        labels = torch.tensor([row[1] for row in rows], dtype=torch.int64)
        setattr(sample, key, InstanceData(bboxes=boxes([row[0] for row in rows]), labels=labels))
    return sample


def evaluate(samples, classes=('nodule',), **options):
    """Scores as mmengine's test loop gets them."""
    evaluator = Evaluator(FROCMetric(**options))
    evaluator.dataset_meta = {'classes': classes}
    for sample in samples:
        evaluator.process([sample])
    return evaluator.evaluate(len(samples))


def test_is_registered():
    assert METRICS.build({'type': 'FROCMetric'}).default_prefix == 'froc'


def test_scores_and_marks_by_hand(tmp_path):
    samples = [
        make_sample('00783', [(LESION, 0.9, 0), (FAR, 0.8, 0)], [(LESION, 0)], annotated=True),
        make_sample('b', [], [(LESION, 0)], annotated=True),
    ]
    scores = evaluate(samples, out=str(tmp_path / 'marks.csv'))
    # One of two nodules, found before the only false positive.
    rates = ('0.125', '0.25', '0.5', '1', '2', '4', '8')
    assert [scores[f'froc/sens@{rate}'] for rate in rates] == [0.5] * 7
    assert scores['froc/cpm'] == 0.5
    # Precision 1 up to recall 1/2: 51 of 101 recalls.
    assert scores['froc/mAP'] == pytest.approx(51 / 101)
    assert scores['froc/AP@0.5'] == pytest.approx(51 / 101)
    assert 'froc/cpm_low' not in scores
    marks = read_marks(tmp_path / 'marks.csv')
    assert marks.scan_ids == ('00783', '00783') and marks.classes == ('', '')
    np.testing.assert_allclose(marks.centers[0], LESION_CENTER)
    np.testing.assert_allclose(marks.scores, [0.9, 0.8], rtol=1e-6)
    assert marks.diameters.tolist() == [8, 8]


def test_boxes_and_scores_of_the_marks_that_are_written(tmp_path):
    flat = [10.0, 20, 30, 14, 23, 35]  # 4 x 3 x 5 voxels (z, y, x) of 2 x 1 x 1 mm
    sample = make_sample('a', [(flat, 0.9, 0), (FAR, 0.3, 0)], [(LESION, 0)])
    scores = evaluate([sample], out=str(tmp_path / 'marks.csv'), out_min_score=0.5)
    marks = read_marks(tmp_path / 'marks.csv')
    assert marks.scores.tolist() == pytest.approx([0.9])
    assert marks.sizes.tolist() == [[5, 3, 8]]
    assert marks.diameters.round(3).tolist() == [5.333]
    assert scores == evaluate([sample])


def test_findings_to_ignore_are_no_false_positives():
    found = [(FAR, 0.9, 0), (LESION, 0.8, 0)]
    without = evaluate([make_sample('a', found, [(LESION, 0)])])
    ignoring = evaluate([make_sample('a', found, [(LESION, 0)], [(FAR, 0)])])
    assert ignoring['froc/cpm'] == 1 and without['froc/cpm'] < 1
    assert ignoring['froc/mAP'] == 1 and without['froc/mAP'] == pytest.approx(0.5)


def test_instances_of_the_annotation_are_preferred():
    # The mark is 3.5 mm off: a hit for the box's mean extent (8 mm), not for a diameter of 6 mm.
    moved = [10.0, 20, 33.5, 14, 28, 41.5]
    instance = dict(center=LESION_CENTER, diameter=6.0, label=0, ignore=False)
    sample = [(moved, 0.9, 0)], [(LESION, 0)]
    assert evaluate([make_sample('a', *sample)])['froc/cpm'] == 1
    assert evaluate([make_sample('a', *sample, instances=[instance])])['froc/cpm'] == 0


def test_official_files_override_the_samples(tmp_path):
    header = 'seriesuid,coordX,coordY,coordZ,diameter_mm\n'
    x, y, z = LESION_CENTER
    (tmp_path / 'a.csv').write_text(header + f'007,{x},{y},{z},5\n')
    (tmp_path / 'e.csv').write_text(header + f'007,{x},{y},{z},-1\n')
    sample = make_sample('007', [(LESION, 0.5, 0)], annotated=False)
    files = dict(annotations=str(tmp_path / 'a.csv'), excluded=str(tmp_path / 'e.csv'))
    assert evaluate([sample], **files)['froc/cpm'] == 1
    with pytest.raises(ValueError, match='no annotations'):
        FROCMetric(excluded='e.csv')


def test_a_review_overrides_the_samples(tmp_path):
    """What it rejects is no lesion, what it says to ignore no false positive; b is not in it."""
    (x, y, z), sizes = LESION_CENTER, '5,5,5'
    (tmp_path / 'review.csv').write_text(
        'seriesuid,coordX,coordY,coordZ,sizeX,sizeY,sizeZ,class,ignore,review\n'
        f'a,{x},{y},{z},{sizes},nodule,0,accepted\na,{x + 90},{y},{z},{sizes},nodule,0,rejected\n'
        f'c,{x},{y},{z},{sizes},nodule,1,open\n'
    )
    found = [(LESION, 0.9, 0), (FAR, 0.95, 0)]
    samples = [
        make_sample('a', [(LESION, 0.5, 0)], annotated=False),
        make_sample('b', found, [(LESION, 0)]),
        make_sample('c', [(LESION, 0.9, 0)], annotated=False),
    ]
    options = dict(annotations=str(tmp_path / 'review.csv'), classes=['nodule'])
    assert evaluate(samples, **options)['froc/cpm'] == 1
    assert evaluate(samples[1:2], **options) == {}
    respelt = make_sample('00', [(LESION, 0.5, 0)])
    text = (tmp_path / 'review.csv').read_text()
    (tmp_path / 'review.csv').write_text(text.replace('\na,', '\n0,'))
    with pytest.raises(ValueError, match='0 and 00'):
        evaluate([respelt], **options)


def test_without_annotations_marks_are_written_and_froc_is_skipped(tmp_path):
    sample = make_sample('a', [(LESION, 0.5, 0)], annotated=False)
    assert evaluate([sample], out=str(tmp_path / 'marks.csv')) == {}
    assert len(read_marks(tmp_path / 'marks.csv').scores) == 1


def test_scans_that_are_not_annotated_are_left_out():
    samples = [
        make_sample('a', [(LESION, 0.5, 0)], [(LESION, 0)], annotated=True),
        make_sample('b', [(LESION, 0.9, 0), (FAR, 0.9, 0)], annotated=False),
    ]
    assert evaluate(samples)['froc/cpm'] == 1


@pytest.mark.parametrize('found', [[], [(LESION, 0.5, 0)]])
def test_no_lesion_in_any_scan(found):
    assert evaluate([make_sample('a', found, annotated=True)]) == {}


def test_classes_are_scored_apart_and_averaged(tmp_path):
    samples = [
        make_sample(
            'a',
            # The cyst is found; the stone is taken for a cyst.
            [(LESION, 0.9, 0), (FAR, 0.8, 0)],
            [(LESION, 0), (FAR, 1)],
        )
    ]
    scores = evaluate(samples, ('cyst', 'stone', 'absent'), out=str(tmp_path / 'marks.csv'))
    assert scores['froc/cpm_cyst'] == 1 and scores['froc/cpm_stone'] == 0
    assert 'froc/cpm_absent' not in scores
    assert scores['froc/cpm'] == 0.5 and scores['froc/sens@8'] == 0.5
    assert scores['froc/mAP'] == 0.5
    assert read_marks(tmp_path / 'marks.csv').classes == ('cyst', 'cyst')


def test_a_class_the_data_do_not_have_is_refused():
    with pytest.raises(ValueError, match='scan a: the model found class number 2'):
        evaluate([make_sample('a', [(LESION, 0.9, 2)], [(LESION, 0)])], ('cyst', 'stone'))


def test_bootstraps_add_the_interval():
    samples = [
        make_sample(str(i), [(LESION, 0.5, 0)] if i % 2 else [], [(LESION, 0)]) for i in range(20)
    ]
    scores = evaluate(samples, bootstraps=200, fp_rates=(1,))
    assert scores['froc/cpm_low'] < 0.5 < scores['froc/cpm_high']
    assert scores == evaluate(samples, bootstraps=200, fp_rates=(1,))
