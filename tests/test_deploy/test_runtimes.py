"""Runtimes compute what torch computes, for every kind of detector."""

import gc
import importlib.util
from types import MethodType

import numpy as np
import pytest
import torch

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.cli.options import export as export_options
from mmdet3d_medical.cli.options import predict as predict_options
from mmdet3d_medical.deploy import (
    BACKENDS,
    KINDS,
    RUNTIMES,
    Network,
    check_runtime,
    choose_backend,
    make_runtime,
    onnx_bytes,
    runtimes,
)
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils.errors import UsageError

CPU = torch.device('cpu')
DETECTORS = (
    'retina3d/retina3d_fpn_phantom',
    'retina3d/retina3d_plainconv_fpn_phantom',  # instance normalization
    'retina3d/retina3d_r50_monai_phantom',
    'retina3d/retina3d_densenet121_fpn_phantom',
    'fcos3d/fcos3d_fpn_phantom',
    'fpn3d/fpn3d_phantom',
    'deeplung/deeplung_res18_phantom',  # positions as channels
    'deepseed/deepseed_phantom',
    's4nd/s4nd_phantom',  # no boxes
)


@pytest.fixture(params=sorted(RUNTIMES))
def backend(request):
    pytest.importorskip(request.param)
    return request.param


def network_of(name):
    config = load_config(f'configs/{name}.py').model.to_dict()
    torch.manual_seed(0)
    detector = MODELS.build(config)
    detector.init_weights()
    return Network(config, detector.state_dict())


@pytest.mark.parametrize('name', DETECTORS)
def test_outputs_are_those_of_torch(name, backend):
    network = network_of(name)
    runtime = make_runtime(backend, network)
    sides = np.array(network.detector.divisor)
    channels = network.example(1, 1).shape[1]
    for batch, strides in ((1, (2, 2, 2)), (3, (3, 1, 1))):
        patches = torch.randn(batch, channels, *(sides * strides))
        for found, expected in zip(runtime(patches), network(patches), strict=True):
            assert found.shape == expected.shape
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=5e-4)


def test_detections_are_those_of_torch_over_tiles_and_views(backend):
    network = network_of('retina3d/retina3d_fpn_phantom')
    detector = network.detector
    detector.test_cfg.update(tile_size=32, tile_overlap=8, tile_batch=3, score_thr=0.0)
    detector.tta = detector_views()
    scan = torch.randn(1, 40, 56, 48)
    expected = detector.detect(scan)
    detector.runtime = make_runtime(backend, network)
    found = detector.detect(scan)
    assert len(found) == len(expected) > 5
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=0, atol=1e-3)


def detector_views():
    from mmdet3d_medical.models.detectors.views import RandomViews

    return RandomViews(permute_axes=(), flip_axes=(2,))


def test_what_only_torch_has_is_left_out():
    config = load_config('configs/retina3d/retina3d_fpn_phantom.py').model.to_dict()
    plain = Network(config, MODELS.build(config).state_dict())
    fast = dict(config, winograd=True, recompute_activations=True)
    network = Network(fast, plain.detector.state_dict())
    patches = plain.example(1, 2)
    for found, expected in zip(network(patches), plain(patches), strict=True):
        assert torch.equal(found, expected)


def test_networks_of_one_size_are_refused(backend):
    """Swin's windows depend on the sizes it is traced with."""
    pytest.importorskip('monai')
    with pytest.raises(UsageError, match=f'{backend} (cannot compute|computes other outputs)'):
        make_runtime(backend, network_of('retina3d/retina3d_swin_fpn_phantom'))


@pytest.mark.parametrize('wrong', [lambda x: x + 0.01, lambda x: x[:, 1:], lambda x: x * np.nan])
def test_other_outputs_are_refused(wrong):
    network = network_of('retina3d/retina3d_fpn_phantom')
    check_runtime(network, network, 'torch')
    with pytest.raises(UsageError, match='other outputs than torch'):
        check_runtime(lambda x: [wrong(out) for out in network(x)], network, 'it')


def test_backends_are_chosen(monkeypatch):
    there = {'openvino', 'onnxruntime'}
    monkeypatch.setattr(runtimes, 'find_spec', lambda name: name in there)
    assert choose_backend('auto', CPU) == 'openvino'
    assert choose_backend('torch', CPU) == 'torch'
    assert choose_backend('auto', torch.device('cuda')) == 'torch'
    with pytest.raises(UsageError, match='the device is cuda: take --backend torch'):
        choose_backend('openvino', torch.device('cuda'))
    there.remove('openvino')
    assert choose_backend('auto', CPU) == 'onnxruntime'
    with pytest.raises(UsageError, match=r'not installed: pip install "mmdet3d_medical\[openvino'):
        choose_backend('openvino', CPU)
    there.clear()
    assert choose_backend('auto', CPU) == 'torch'
    with pytest.raises(UsageError, match="expected|must be one of .* found 'tensorrt'"):
        choose_backend('tensorrt', CPU)


def test_options_name_what_there_is():
    assert set(predict_options.BACKENDS) == set(BACKENDS)
    assert set(export_options.SUFFIXES) == set(KINDS)
    assert importlib.util.find_spec('mmdet3d_medical.deploy')


def test_what_is_faster_is_told_by_the_clock(monkeypatch):
    """Calls take as long as the clock says: the first, which warms up, does not count."""
    now = [0.0]
    monkeypatch.setattr(runtimes.time, 'perf_counter', lambda: now[0])

    def taking(*seconds):
        left = iter(seconds)

        def compute(patches):
            now[0] += next(left)

        return compute

    assert runtimes.is_faster(taking(9, 2, 1.7), taking(1, 2, 3), None)
    assert not runtimes.is_faster(taking(0, 2, 1.9), taking(9, 2, 3), None)


@pytest.fixture
def small():
    """A network and OpenVINO's runtime of it."""
    pytest.importorskip('openvino')
    network = network_of(DETECTORS[0])
    return network, RUNTIMES['openvino'](onnx_bytes(network))


def test_openvino_keeps_what_it_compiled_for_the_last_two_shapes(small, monkeypatch):
    network, runtime = small
    compile_for, compiled = runtime._compile, []
    monkeypatch.setattr(
        runtime, '_compile', lambda shape: compiled.append(shape[-1]) or compile_for(shape)
    )
    step = network.detector.divisor[-1]
    for strides in (1, 2, 1, 2, 3, 2, 1):
        runtime(network.example(1, strides))
    assert compiled == [step, 2 * step, 3 * step, step]


def test_openvino_is_gone_with_its_last_name(small):
    """Not when Python next looks for cycles: what is compiled takes memory."""
    network, runtime = small
    runtime(network.example(1, 1))
    references = gc.get_referrers(runtime)
    assert not any(isinstance(owner, MethodType) for owner in references)
