"""Files of a network, read as their users would read them."""

import json

import numpy as np
import pytest
import torch

from mmdet3d_medical.cli import export, options
from mmdet3d_medical.cli.main import parse
from mmdet3d_medical.deploy import Network
from mmdet3d_medical.packing import read_model
from mmdet3d_medical.utils import register_all_modules
from mmdet3d_medical.utils.errors import UsageError

SHAPE = (3, 1, 16, 32, 24)  # neither the number nor the size that was traced


@pytest.fixture
def write(tmp_path):
    def run(kind, name):
        export.main(parse('export', ['phantom', '--to', kind, '-o', str(tmp_path / name)]))
        return tmp_path / name

    return run


@pytest.fixture
def expected():
    register_all_modules()
    folder = read_model('phantom')
    network = Network(folder.facts.config, folder.weights())
    patches = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    return patches, [out.numpy() for out in network(patches)]


def check(found, expected):
    assert len(found) == len(expected) == 2
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(one), other, rtol=1e-4, atol=1e-4)


def test_onnx(write, expected):
    onnxruntime = pytest.importorskip('onnxruntime')
    patches, outs = expected
    session = onnxruntime.InferenceSession(str(write('onnx', 'a.onnx')))
    assert [out.name for out in session.get_outputs()] == ['logits', 'deltas']
    check(session.run(['logits', 'deltas'], {'patches': patches.numpy()}), outs)


def test_openvino(write, expected):
    openvino = pytest.importorskip('openvino')
    patches, outs = expected
    path = write('openvino', 'a.xml')
    assert path.with_suffix('.bin').is_file()
    model = openvino.Core().compile_model(path, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    check(list(model(patches.numpy()).values()), outs)


def test_torch_export(write, expected):
    patches, outs = expected
    module = torch.export.load(write('torch', 'a.pt2')).module()
    check([out.detach() for out in module(patches)], outs)


def test_a_description_lies_beside_the_file(write):
    path = write('onnx', 'a.onnx').with_suffix('.json')
    said = json.loads(path.read_text())
    assert said['input']['channels'] == 1 and said['input']['multiples'] == [8, 8, 8]
    assert said['outputs'] == {'logits': 1, 'deltas': 6}  # numbers for each prior
    assert said['model'] == json.loads(read_model('phantom').facts.model_dump_json())


def test_a_name_that_does_not_fit_is_refused(write, tmp_path):
    with pytest.raises(UsageError, match=r'a file of --to onnx ends in .onnx'):
        write('onnx', 'a.xml')
    assert list(tmp_path.iterdir()) == []


def test_kinds_have_suffixes():
    assert set(options.export.SUFFIXES) == {'onnx', 'openvino', 'torch'}
