import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.cli import diagnose_guesses
from mmdet3d_medical.models.dense_heads import DenseTargets
from mmdet3d_medical.models.semi import Guess
from mmdet3d_medical.registry import DATASETS, MODELS

CONFIG = 'mmdet3d_medical::focalmix/retina3d_fpn_phantom.py'


@pytest.fixture
def semi(tmp_path, data_root) -> Path:
    path = tmp_path / 'semi.py'
    source = f'dict(data_root={str(data_root)!r}, split=None)'
    path.write_text(
        f'_base_ = {CONFIG!r}\n'
        'train_dataloader = dict(dataset=dict(datasets=dict('
        f'labeled={source}, unlabeled={source})))\n'
    )
    return path


@pytest.fixture
def parts(semi):
    """A model, and a batch of patches with their annotations."""
    torch.manual_seed(0)
    init_default_scope('mmdet3d_medical')
    cfg = load_config(str(semi), small=True)
    model = MODELS.build(cfg.model)
    dataset = DATASETS.build(cfg.train_dataloader.dataset.datasets.unlabeled)
    preprocessor = model.data_preprocessor.data_preprocessor
    return model, next(
        diagnose_guesses.batches(dataset, preprocessor, 1, 4, np.random.default_rng(0))
    )


def look(model, batch, change, settings):
    """Tables for a model that guesses the true targets, changed."""

    def guesser(detectors, inputs, rng, metas):
        (detector,) = detectors
        targets = diagnose_guesses.targets_of(detector.bbox_head, batch[1], tuple(inputs.shape[2:]))
        priors = detector.bbox_head.priors(tuple(inputs.shape[2:]))
        assert targets.cls.sum() > 0 and (targets.cls_weight == 1).all()
        return Guess(replace(targets, cls=change(targets.cls)), priors, [])

    model.targets = guesser
    diagnosis = diagnose_guesses.Diagnosis(model, settings)
    diagnosis.look(*batch, np.random.default_rng(0))
    return diagnosis.tables()


def test_right_guesses_pull_as_the_labels_do(parts):
    tables = look(*parts, lambda cls: cls, [(1.0, 0.5)])
    (pull,) = tables['pull']
    assert pull['cosine'] == pytest.approx(1, abs=1e-5) and pull['length'] == pytest.approx(1)
    assert [row['lesions'] for row in tables['calibration']] == [0.0, 1.0]
    assert all(row['recall'] == row['precision'] == 1 for row in tables['thresholds'])


def test_what_sharpening_does_to_timid_guesses(parts):
    """Lesions at 0.4: about 0.3 sharpening finds them, about 0.5 it takes them for background."""
    model, batch = parts
    torch.nn.init.constant_(model.detector.bbox_head.classify.bias, -3.0)  # 0.05 everywhere
    tables = look(model, batch, lambda cls: 0.4 * cls, [(0.1, 0.5), (0.1, 0.3)])
    unlearns, learns = tables['pull']
    assert learns['cosine'] > 0.99 and unlearns['cosine'] < 0
    found = {row['threshold']: row['recall'] for row in tables['thresholds']}
    assert found[0.3] == 1 and found[0.5] == 0


def test_calibration_by_hand(parts):
    diagnosis = diagnose_guesses.Diagnosis(parts[0], [])
    guess = torch.tensor([0.005, 0.12, 0.18, 1.0, 0.7]).view(1, 5, 1)
    truth = torch.tensor([0.0, 0, 1, 1, 0]).view(1, 5, 1)
    weight = torch.tensor([[1.0, 1, 1, 1, 0]])  # the last one is ignored
    diagnosis._calibrate(guess, DenseTargets(truth, weight, truth, weight))
    low, middle, high = diagnosis.tables()['calibration']
    assert (low['guess'], low['anchors'], low['lesions']) == ('0 to 0.01', 1, 0)
    assert (middle['guess'], middle['anchors'], middle['lesions']) == ('0.1 to 0.2', 2, 0.5)
    assert middle['mean guess'] == pytest.approx(0.15)
    assert (high['guess'], high['anchors'], high['lesions']) == ('0.9 to 1', 1, 1)


def test_from_the_command_line(parts, semi, run_tool, tmp_path, capsys):
    model, _ = parts
    torch.save(model.detector.state_dict(), tmp_path / 'plain.pth')
    cfg = load_config(str(semi), small=True)
    cfg.dump(str(tmp_path / 'small.py'))
    out = tmp_path / 'numbers.json'
    assert (
        run_tool(
            'analysis_tools/diagnose_guesses',
            tmp_path / 'small.py',
            tmp_path / 'plain.pth',
            '--batches',
            2,
            '--patches',
            2,
            '--json',
            out,
        )
        == 0
    )
    tables = json.loads(out.read_text())
    assert len(tables['pull']) == 4 + 1 and len(tables['thresholds']) == 7
    assert '| temperature | center | cosine | length |' in capsys.readouterr().out
    wide = ('--cfg-options', 'model.detector.bbox_head.feat_channels=6')
    assert (
        run_tool(
            'analysis_tools/diagnose_guesses', tmp_path / 'small.py', tmp_path / 'plain.pth', *wide
        )
        == 2
    )
    assert 'do not fit the model' in capsys.readouterr().err
    assert (
        run_tool(
            'analysis_tools/diagnose_guesses',
            tmp_path / 'small.py',
            tmp_path / 'plain.pth',
            '--centers',
            1,
        )
        == 2
    )
    assert '0 < center < 1' in capsys.readouterr().err
    plain = semi.with_name('plain.py')
    plain.write_text("_base_ = 'mmdet3d_medical::retina3d/retina3d_fpn_phantom.py'\n")
    assert run_tool('analysis_tools/diagnose_guesses', plain, tmp_path / 'plain.pth') == 2
    assert 'expected a FocalMixDetector, found DenseDetector3D' in capsys.readouterr().err


def test_the_pull_is_that_of_the_loss_in_training(parts):
    """Squared errors in the place of the focal loss, as of MixMatch: another length."""
    model, batch = parts
    (focal,) = look(model, batch, lambda cls: cls, [(1.0, 0.5)])['pull']
    model.unsup.own = MODELS.build(dict(type='SoftSquaredErrorLoss'))
    (squared,) = look(model, batch, lambda cls: cls, [(1.0, 0.5)])['pull']
    assert focal['length'] == pytest.approx(1) and squared['length'] != pytest.approx(1, rel=0.01)


def test_what_cannot_be_looked_at(parts, semi, run_tool, tmp_path, capsys, data_root):
    model, _ = parts
    torch.save(model.detector.state_dict(), tmp_path / 'plain.pth')
    cfg = load_config(str(semi), small=True)
    index = json.loads((data_root / 'index.json').read_text())
    for scan in index['scans']:
        scan.update(annotated=False, instances=[])
    (data_root / 'unknown.json').write_text(json.dumps(index))
    cfg.train_dataloader.dataset.datasets.unlabeled.ann_file = 'unknown.json'
    cfg.dump(str(tmp_path / 'unknown.py'))
    assert (
        run_tool(
            'analysis_tools/diagnose_guesses',
            tmp_path / 'unknown.py',
            tmp_path / 'plain.pth',
            '--batches',
            1,
        )
        == 2
    )
    assert 'to compare guesses with: choose a split of annotated' in capsys.readouterr().err
    cfg.train_dataloader.dataset = cfg.train_dataloader.dataset.datasets.labeled
    cfg.dump(str(tmp_path / 'labeled.py'))
    assert (
        run_tool('analysis_tools/diagnose_guesses', tmp_path / 'labeled.py', tmp_path / 'plain.pth')
        == 2
    )
    assert 'trains on no unlabeled scans' in capsys.readouterr().err
