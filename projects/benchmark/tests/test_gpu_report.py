"""The report is made without a GPU too, and whatever fails is a row of it."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import gpu_report
import pytest
import torch
from gpu.networks import FOCALMIX, SUPERVISED, Variant, calls_of
from gpu.norm import _numbers, ways
from gpu.rows import Settings, attempt
from gpu.scan import Graphed
from gpu.suite import files_of, outcome_of

from mmdet3d_medical.apis import load_config, shrink
from mmdet3d_medical.models.layers import RecomputedConvModule, SplitGroupNorm
from mmdet3d_medical.registry import MODELS

FOLDER = Path(__file__).parents[1]
ROOT = FOLDER.parents[1]
SETTINGS = Settings('cpu', shrink=True)
TOOL = '../projects/benchmark/gpu_report'


@pytest.fixture(autouse=True)
def beside_benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))  # as when the file is run


@pytest.fixture
def report(run_tool, tmp_path):
    """Function that makes a report of some parts and gives its content and page."""

    def make(*parts) -> tuple[dict, str]:
        out = tmp_path / 'out'
        args = '--device', 'cpu', '--shrink', '--out', out, '--only', *parts
        assert run_tool(TOOL, *args) == 0
        files = {'report.json', 'report.md', 'rows.jsonl', 'log.txt'}
        assert {path.name for path in out.iterdir()} == files
        return json.loads((out / 'report.json').read_text()), (out / 'report.md').read_text()

    return make


def test_a_focalmix_step_beside_its_passes(report):
    found, page = report('focalmix')
    part = found['parts']['focalmix']
    assert part['status'] == 'done' and found['facts']['device'] == 'cpu'
    for row in part['rows']:
        step, guess, student = (
            row[name]
            for name in ('step, s', '4 views without gradient, s', 'forward and backward of all, s')
        )
        assert row['step / passes'] == pytest.approx(step / (guess + student))
        assert 0 < guess and 0 < student and row['step, peak_mb'] > 0
    assert '| focalmix/retina3d_fpn_luna16 | bfloat16 |' in page and 'no measurement' in page


def test_ways_of_group_normalization():
    x, weight, bias = torch.randn(1, 8, 2, 2, 2), torch.ones(8), torch.zeros(8)
    inputs = tuple(part.requires_grad_() for part in (x, weight, bias))
    for name in ('torch group_norm', 'SplitGN'):  # compiling takes seconds
        row = _numbers(SETTINGS, ways(SETTINGS)[name], inputs, x.detach())
        assert row['forward, ms'] > 0 and row['forward and backward, ms'] > 0
        norm = torch.nn.functional.group_norm(x, 8)
        assert row['largest difference'] == pytest.approx((norm - x).abs().max().item(), abs=1e-5)


def test_networks_in_each_variant():
    """Of the configs; MONAI's takes longer and has a test of its own."""
    for variant in (Variant('bfloat16', channels_last=True, split_norm=True), Variant()):
        calls = calls_of(SETTINGS, variant, SUPERVISED)
        assert list(calls) == ['training step of 2 patches of 32^3', 'inference of a patch of 32^3']
        for call in calls.values():
            call()
    (step,) = calls_of(SETTINGS, Variant(recompute=True), FOCALMIX).values()
    step()
    assert str(Variant('float16', recompute=True)) == 'float16, recompute_activations'


def test_a_variant_is_what_the_options_of_a_detector_are():

    network = MODELS.build(shrink(load_config(str(ROOT / SUPERVISED))).model)
    Variant(channels_last=True, recompute=True, split_norm=True).apply(network)
    weights = [weight for weight in network.parameters() if weight.dim() == 5]
    last = torch.channels_last_3d
    assert all(weight.is_contiguous(memory_format=last) for weight in weights)
    kinds = {type(part) for part in network.modules()}
    assert {RecomputedConvModule, SplitGroupNorm} <= kinds and torch.nn.GroupNorm not in kinds


def test_a_way_that_fails_is_a_row():
    row = attempt(dict(way='graph'), lambda: dict(out=Graphed(lambda x: x)(torch.zeros(1))))
    assert row == dict(way='graph', failed='RuntimeError: CUDA graphs need a GPU')


def test_outcomes_that_pytest_tells():
    name = 'tests/a/test_b.py::test_c[1-x y]'
    assert outcome_of(f'{name} PASSED      [ 50%]\n') == (name, 'PASSED')
    assert outcome_of(f'{name} SKIPPED (needs a GPU) [ 50%]\n') == (name, 'SKIPPED')
    assert outcome_of(f'[gw3] [ 10%] FAILED {name} \n') == (name, 'FAILED')
    assert outcome_of(f'FAILED {name} - AssertionError\n') is None  # of the summary
    assert outcome_of('collected 3 items\n') is None
    rule = 'test-gpu: x\n\tpython -m pytest tests/a.py tests/b/c.py\n\nlint:\n\tpytest tests/d.py\n'
    assert files_of(rule) == ['tests/a.py', 'tests/b/c.py']
    assert 'tests/test_models/test_cuda.py' in files_of(
        (FOLDER.parents[1] / 'Makefile').read_text()
    )


class TestALimit:
    @pytest.fixture
    def tool(self):
        return gpu_report

    def test_what_takes_too_long_is_stopped(self, tool):
        command = [sys.executable, '-c', 'import signal; signal.pause()']
        process = subprocess.Popen(command, start_new_session=True)
        assert tool._wait(process, 0.01) == 'stopped after 0 s' and process.poll() is not None

    def test_rows_with_one_key_are_the_last_of_them(self, tool, tmp_path):
        lines = [
            dict(part=part, row=dict(number=number, _key=number // 2))
            for number, part in enumerate(('norm', 'norm', 'scan', 'norm'))
        ]
        tool.rows_file(tmp_path).write_text('\n'.join(map(json.dumps, lines)))
        assert [row['number'] for row in tool.rows_of('norm', tmp_path)] == [1, 3]

    def test_without_time_a_part_is_not_begun(self, tool, tmp_path):
        found = tool.launch_part('norm', SimpleNamespace(out=tmp_path), 0.1)
        assert found['status'].startswith('not begun') and found['rows'] == []

    def test_a_part_that_ends_with_an_error(self, tool, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, 'gpu.norm', SimpleNamespace(rows=lambda settings: 1 / 0))
        with pytest.raises(ZeroDivisionError):
            tool.run_part('norm', SETTINGS, tmp_path)
        assert tool.rows_of('norm', tmp_path) == [
            dict(failed='ZeroDivisionError: division by zero')
        ]


def test_without_a_gpu_it_says_so(run_tool, capfd, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert run_tool(TOOL) == 2
    assert '--device cpu --shrink' in capfd.readouterr().err
