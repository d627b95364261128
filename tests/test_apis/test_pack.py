"""Packing: the detector in a model folder finds what the tested one finds."""

import json
from argparse import Namespace

import numpy as np
import pytest
import torch

from mmdet3d_medical.apis import UsageError, load_config, save_weights
from mmdet3d_medical.apis.pack import pack_model
from mmdet3d_medical.cli import pack
from mmdet3d_medical.datasets import write_index
from mmdet3d_medical.evaluation.functional import froc
from mmdet3d_medical.evaluation.marks import Findings, Marks, write_marks
from mmdet3d_medical.packing import read_model
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import VolumeGeometry

PLAIN = 'configs/retina3d/retina3d_fpn_phantom.py'
FOCALMIX = 'configs/focalmix/retina3d_fpn_phantom.py'
META = dict(
    mmdet3d_medical=dict(
        classes=['nodule'], spacing=[2.0, 2.0, 2.0], settings=dict(crop='lungs', margin=7.0)
    )
)


def checkpoint(tmp_path, weights, meta=META):
    save_weights(str(tmp_path / 'a.pth'), weights, meta)
    return str(tmp_path / 'a.pth')


def shipped_weights():
    return read_model('phantom').weights()


def packed(tmp_path, config, weights, **options):
    path = checkpoint(tmp_path, weights)
    return pack_model(load_config(config), path, tmp_path / 'm', 'small', **options)


def test_model_folder_holds_the_weights_and_how_scans_are_converted(tmp_path):
    folder = packed(tmp_path, PLAIN, shipped_weights())
    facts, weights = folder.facts, folder.weights()
    assert facts.spacing == [2, 2, 2] and facts.crop == 'lungs' and facts.margin == 7
    assert facts.window == [-1000, 400] and facts.threshold == 0.5 and not facts.operating_points
    assert all(torch.equal(value, weights[name]) for name, value in shipped_weights().items())
    model = MODELS.build(facts.config)
    model.load_state_dict(weights)
    content = (tmp_path / 'm/model.json').read_text()
    assert json.loads(content)['config'] == facts.config
    assert 'init_cfg' not in content


def test_of_focalmix_the_detector_is_packed(tmp_path):
    weights = {f'detector.{name}': value for name, value in shipped_weights().items()}
    weights['step'] = torch.tensor(5)
    folder = packed(tmp_path, FOCALMIX, weights)
    assert folder.facts.config['type'].endswith('DenseDetector3D')
    assert folder.weights().keys() == shipped_weights().keys()


def test_another_part_than_the_tested_one_is_not_packed(tmp_path):
    weights = {f'detector.{name}': value for name, value in shipped_weights().items()}
    weights['step'] = torch.tensor(5)
    path = checkpoint(
        tmp_path, weights, {'mmdet3d_medical': {'classes': ['nodule'], 'tested': 'teacher'}}
    )
    with pytest.raises(UsageError, match='its training tested the teacher, .* tests the student'):
        pack_model(load_config(FOCALMIX), path, tmp_path / 'm', 'small')


def test_options_go_before_what_the_training_says(tmp_path):
    folder = packed(tmp_path, PLAIN, shipped_weights(), spacing=(1, 1, 1), crop='none')
    assert folder.facts.spacing == [1, 1, 1] and folder.facts.crop == 'none'


def test_checkpoint_that_does_not_tell_its_data_is_refused(tmp_path):
    path = checkpoint(tmp_path, shipped_weights(), {})
    with pytest.raises(UsageError, match='a.pth does not tell how the scans were converted'):
        pack_model(load_config(PLAIN), path, tmp_path / 'm', 'small')


def test_checkpoint_of_another_config_is_refused(tmp_path):
    path = checkpoint(tmp_path, shipped_weights())
    with pytest.raises(UsageError, match='do not fit the model'):
        pack_model(
            load_config('configs/fcos3d/fcos3d_fpn_phantom.py'), path, tmp_path / 'm', 'small'
        )


def measured(scans=4):
    """Lesion k of 4 scans is hit with score .9, .8, .7, .6; a false positive below each."""
    rows, lesions = [], []
    for k in range(scans):
        lesions.append((f's{k}', (0, 0, 0), 10.0, ''))
        rows.append((f's{k}', (0, 0, 0), 0.9 - 0.1 * k, 10.0, ''))
        rows.append((f's{k}', (50, 0, 0), 0.85 - 0.1 * k, 10.0, ''))
    return froc([f's{k}' for k in range(scans)], Marks.from_rows(rows), Findings.from_rows(lesions))


def test_threshold_has_as_few_false_positives_as_asked_for(tmp_path):
    """By hand: .55 and above has 4 in 4 scans, .6 has 3, .65 has 3, .75 has 2, .85 has 1."""
    points = packed(tmp_path, PLAIN, shipped_weights(), result=measured(), fp_per_scan=0.5).facts
    assert points.threshold == pytest.approx(0.7)  # 2 in 4 scans: .85 and .75
    rates = [(p.score, p.fp_per_scan, p.sensitivity) for p in points.operating_points]
    np.testing.assert_allclose(
        rates, [(0.9, 0, 0.25), (0.8, 0.25, 0.5), (0.7, 0.5, 0.75), (0.55, 1, 1)]
    )
    assert '| 0.700 | 0.5 | 0.750 |' in (tmp_path / 'm/README.md').read_text()


def write_scans(path, unannotated):
    """An index of the scans a and b, annotated ones with a lesion."""
    geometry = VolumeGeometry((-4.0,) * 3, (1.0,) * 3, (1, 0, 0, 0, 1, 0, 0, 0, 1), (8, 8, 8))
    scans = [
        dict(
            scan_id=name,
            volume='none.npy',
            geometry=geometry.to_dict(),
            annotated=name not in unannotated,
            instances=[dict(center=[0, 0, 0], diameter=6)] * (name not in unannotated),
        )
        for name in 'ab'
    ]
    write_index(path, dict(classes=['nodule'], spacing=None, settings={}, scans=scans))


@pytest.mark.parametrize('listed', [True, False])
def test_operating_points_are_those_of_annotated_scans(tmp_path, capsys, listed):
    """Both marks of b would be false positives, though nobody looked for lesions there."""
    rows = [('a', (0, 0, 0), 0.9, 6.0, ''), ('b', (0, 0, 0), 0.95, 6.0, '')]
    write_marks(tmp_path / 'val.csv', Marks.from_rows([*rows, ('b', (3, 0, 0), 0.8, 6.0, '')]))
    (tmp_path / 'val.txt').write_text('a\nb\n')
    args = Namespace(
        marks=tmp_path / 'val.csv',
        annotations=tmp_path / 'index.json',
        excluded=None,
        seriesuids=tmp_path / 'val.txt' if listed else None,
    )
    write_scans(args.annotations, unannotated='b')
    result = pack.measured(args)
    assert (result.scans, result.tp, result.fp, result.cpm) == (1, 1, 0, 1)
    assert '1 of the 2 scans are not annotated' in capsys.readouterr().out
    write_scans(args.annotations, unannotated='ab')
    with pytest.raises(UsageError, match='index.json: none of the 2 scans is annotated there'):
        pack.measured(args)


def test_parts_of_scans_count_as_such(tmp_path):
    """Where four parts make one scan, each false positive is one per scan."""
    facts = packed(
        tmp_path,
        PLAIN,
        shipped_weights(),
        result=measured(),
        fp_per_scan=2,
        measured_on='parts',
        scans_per=0.25,
    ).facts
    assert facts.threshold == pytest.approx(0.7)
    assert facts.measured_on == 'parts, each counted as 0.25 of a scan'


def test_rate_that_no_score_has_is_refused(tmp_path):
    rows = [('s', (50, 0, 0), 0.9, 10.0, ''), ('s', (0, 0, 0), 0.8, 10.0, '')]
    lesions = Findings.from_rows([('s', (0, 0, 0), 10.0, '')])
    result = froc(['s'], Marks.from_rows(rows), lesions)
    with pytest.raises(UsageError, match='no score has as few as 0.5 false positives'):
        packed(tmp_path, PLAIN, shipped_weights(), result=result, fp_per_scan=0.5)
