"""Model folders: what is written is read back, and what is wrong is named."""

import json

import pytest
import torch

from mmdet3d_medical.packing import ModelFacts, find_model, read_model, shipped_models, write_model
from mmdet3d_medical.utils.errors import UsageError

WEIGHTS = {'a.weight': torch.arange(6.0).reshape(2, 3), 'a.count': torch.tensor(7)}
FACTS = dict(
    name='small',
    config={'type': 'DenseDetector3D'},
    spacing=[2.0, 1.0, 1.0],
    classes=['nodule', 'cyst'],
    threshold=0.4,
    operating_points=[
        dict(score=0.7, fp_per_scan=0.5, sensitivity=0.6),
        dict(score=0.4, fp_per_scan=2.0, sensitivity=0.9),
    ],
)


def write(tmp_path, **changes):
    return write_model(tmp_path / 'm', {**FACTS, **changes}, WEIGHTS, 'card\n')


def test_what_is_written_is_read_back(tmp_path):
    write(tmp_path)
    folder = read_model(tmp_path / 'm')
    assert folder.facts.spacing == [2, 1, 1] and folder.facts.classes == ['nodule', 'cyst']
    weights = folder.weights()
    assert weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(weights[name], value) for name, value in WEIGHTS.items())
    assert (tmp_path / 'm/README.md').read_text() == 'card\n'
    assert {path.name for path in (tmp_path / 'm').iterdir()} == {
        *('model.safetensors', 'model.json', 'README.md')
    }


def test_same_content_gives_same_bytes(tmp_path):
    first = write(tmp_path).facts.sha256
    assert write_model(tmp_path / 'n', FACTS, WEIGHTS, '').facts.sha256 == first


@pytest.mark.tried(
    'predict', 'a damaged byte in the weights of a model folder', 'refused by its hash'
)
def test_damaged_weights_are_refused(tmp_path):
    write(tmp_path)
    path = tmp_path / 'm/model.safetensors'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        UsageError, match='model.safetensors: its SHA-256 is not that in model.json'
    ):
        read_model(tmp_path / 'm').weights()


def test_missing_weights_are_named(tmp_path):
    write(tmp_path)
    (tmp_path / 'm/model.safetensors').unlink()
    with pytest.raises(UsageError, match='model.safetensors: No such file'):
        read_model(tmp_path / 'm').weights()


@pytest.mark.tried('predict', 'a wrong or misspelled fact in model.json', 'refused, naming it')
@pytest.mark.parametrize(
    'key, value, message',
    [
        ('threshold', 1.5, 'threshold: Input should be less than or equal to 1'),
        ('spacing', [1, 0, 1], 'spacing.1: Input should be greater than 0'),
        ('classes', [], 'classes: List should have at least 1 item'),
        ('crop', 'liver', "crop: Input should be 'lungs' or 'none'"),
        ('windw', [0, 1], 'windw: Extra inputs are not permitted'),
        ('version', 2, 'version: Input should be 1'),
    ],
)
def test_wrong_facts_are_named(tmp_path, key, value, message):
    write(tmp_path)
    path = tmp_path / 'm/model.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(UsageError, match=f'model.json: {message}'):
        read_model(tmp_path / 'm')


def test_broken_json_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / 'm/model.json').write_text('{"name": ')
    with pytest.raises(UsageError, match='model.json: the file: Invalid JSON'):
        read_model(tmp_path / 'm')


def test_names_are_those_of_folders_and_shipped_models(tmp_path):
    write(tmp_path)
    assert find_model(tmp_path / 'm') == tmp_path / 'm'
    assert find_model('phantom').name == 'phantom'
    with pytest.raises(
        UsageError, match='neither a model folder nor one of the shipped models: .*phantom'
    ):
        find_model('phantm')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UsageError, match='has no model.json: `mmdet3d-medical pack`'):
        find_model(tmp_path / 'empty')


def test_score_of_a_rate_is_the_lowest_that_was_measured_with_as_few():
    facts = ModelFacts(**FACTS, sha256='0' * 64)
    assert [facts.score_at(rate) for rate in (0.5, 1.9, 2, 50)] == [0.7, 0.7, 0.4, 0.4]
    with pytest.raises(
        ValueError, match=r'measured at 0.5 to 2 false positives per scan, not at 0.1'
    ):
        facts.score_at(0.1)
    with pytest.raises(ValueError, match='small has no operating points'):
        facts.model_copy(update={'operating_points': []}).score_at(1)


@pytest.mark.parametrize('name', shipped_models())
def test_shipped_models_are_whole(name):
    """Their weights fit what their facts say, and the threshold is one that was measured."""
    folder = read_model(name)
    assert folder.facts.name == name and folder.weights()
    assert folder.facts.threshold in [point.score for point in folder.facts.operating_points]
    assert folder.facts.measured_on and folder.facts.summary
    assert 'Not a medical device' in (folder.path / 'README.md').read_text() or (
        'not a medical device' in (folder.path / 'README.md').read_text()
    )
