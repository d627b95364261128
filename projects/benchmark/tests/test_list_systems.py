"""The table of systems in the docs is what the tool makes of the configs."""

import json
from pathlib import Path
from runpy import run_path

import pytest
import torch
import yaml
from study.table import read_table
from torch import nn

from mmdet3d_medical.models.data_preprocessors import VolumeDataPreprocessor

ROOT = Path(__file__).parents[3]
TOOL = run_path(str(ROOT / 'projects/benchmark/list_systems.py'))
CONFIGS = TOOL['listed_configs']()
SYSTEMS = TOOL['systems'](CONFIGS)
# Any saving of memory changes these, and every measurement the time.
LEFT_OUT = {'GB, forward', 'GB, training', 'core s a step'}


def cells_of(line: str) -> dict[str, str]:
    return dict(zip(TOOL['COLUMNS'], line.strip('| \n').split(' | '), strict=True))


def committed() -> dict[str, dict[str, str]]:
    """Rows of the page by system; systems that came later may be missing."""
    table = TOOL['PAGE'].read_text().split(TOOL['BEGIN'])[1].split(TOOL['END'])[0]
    rows = [cells_of(line) for line in table.splitlines()[2:]]
    return {row['system'].strip('`'): row for row in rows}


@pytest.mark.parametrize('name', committed())
def test_the_page_is_up_to_date(name, monkeypatch):
    monkeypatch.setitem(TOOL['row'].__globals__, 'memory', lambda detector: ['', ''])
    row = cells_of(TOOL['row'](name, SYSTEMS[name], CONFIGS))
    fresh, page = (
        {key: cell for key, cell in cells.items() if key not in LEFT_OUT}
        for cells in (row, committed()[name])
    )
    assert fresh == page, 'run projects/benchmark/list_systems.py'


def test_systems_are_supervised_configs_for_luna16():
    assert {'retina3d_fpn', 'deeplung_res18', 's4nd'} <= set(SYSTEMS)
    assert not any('focalmix' in str(path) or 'phantom' in str(path) for path in SYSTEMS.values())
    assert TOOL['systems'](
        {'a_luna16': 1, 'a_phantom': 2, 'focalmix_a_luna16': 3, 'a_luna16_25l-0u': 4}
    ) == {'a': 1}


def test_scores_are_of_listed_configs():
    published = yaml.safe_load(TOOL['SCORES'].read_text())
    assert set(published) <= set(SYSTEMS)
    assert all(0 < entry['cpm'] < 1 and entry['source'] for entry in published.values())
    rows = read_table(TOOL['BENCHMARK']).rows
    ends = {name for name in rows if not name.endswith('-start')}
    in_the_text = {'retina3d_r50_monai_centered', 'deepseed_unmined'}  # as controls, not shown
    assert in_the_text <= ends
    names = {name.removeprefix('focalmix_') for name in ends - in_the_text}
    assert {f'{name}_phantom' for name in names} <= set(CONFIGS)


def test_scores_on_phantoms_are_of_the_first_seed(tmp_path, monkeypatch):
    table = tmp_path / 'systems.yml'
    table.write_text(
        'title: t\ndata: data.yml\nscored_on: test\nseeds: [1, 0, 2]\n'
        'rows: [{name: a, config: a.py}, {name: b, same_as: a}, '
        '{name: c, config: c.py}]\n'
    )
    results = tmp_path / 'results/systems.jsonl'
    results.parent.mkdir()
    lines = [dict(row='a', seed=0, cpm=0.4), dict(row='a', seed=1, cpm=0.5)]
    results.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    phantom_cpm = TOOL['phantom_cpm']
    monkeypatch.setitem(phantom_cpm.__globals__, 'BENCHMARK', table)
    found = [phantom_cpm(name) for name in 'abcd']
    assert found == [0.5, 0.5, None, None]
    lines[1] = dict(row='a', seed=1, failure='the loss is not finite')
    results.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    assert phantom_cpm('a') is None


def test_cells_of_scores():
    cell = TOOL['score_cell']
    assert [cell(None, False), cell(None, True), cell(0.5264, True)] == [
        'no config',
        'not trained',
        '0.526',
    ]


class OneConvolution(nn.Conv3d):
    """A detector of 2 x 27 + 2 weights that keeps one map."""

    def __init__(self):
        super().__init__(1, 2, 3, padding=1)
        self.bbox_head = nn.Identity()
        self.bbox_head.flatten = lambda outs: (outs,)
        self.data_preprocessor = VolumeDataPreprocessor()
        self.seen = []

    def extract_feat(self, inputs):
        return self(inputs)

    def loss(self, inputs, samples):
        self.seen += [inputs.shape, samples[0].gt_instances.bboxes.shape]
        return dict(loss_cls=self(inputs[..., :4]).sum(), loss_bbox=self.weight.sum())


def test_costs_by_hand():
    """2 x 27 x 2 FLOPs a voxel; a map of 2 x 4 bytes a voxel, and its gradient."""
    voxels = 128**3
    assert TOOL['size'](OneConvolution()) == ['0.00', f'{108 * voxels / 1e9:.0f}']
    assert TOOL['memory'](OneConvolution()) == [
        f'{8 * voxels / 1e9:.2f}',
        f'{16 * voxels / 1e9:.2f}',
    ]


def test_a_measured_step_learns_from_a_lesion():
    detector, threads = OneConvolution(), torch.get_num_threads()
    try:
        assert TOOL['step_seconds'](detector) > 0
    finally:
        torch.set_num_threads(threads)
    assert detector.seen == [(1, 1, 128, 128, 128), (1, 6)]
    assert (detector.weight.grad != 0).all()


def test_times_are_kept(tmp_path, monkeypatch):
    names = TOOL['measure'].__globals__
    monkeypatch.setitem(names, 'TIMES', tmp_path / 'times.json')
    monkeypatch.setitem(names, 'build', lambda config: config)
    monkeypatch.setitem(names, 'step_seconds', lambda detector: detector / 3)
    TOOL['measure'](dict(b=1, a=2))
    TOOL['measure'](dict(b=10))
    assert json.loads((tmp_path / 'times.json').read_text()) == {'a': 0.7, 'b': 3.3}


def test_a_page_keeps_what_stands_around_the_table(tmp_path, monkeypatch):
    page = tmp_path / 'page.md'
    page.write_text(f'before\n{TOOL["BEGIN"]}old\n{TOOL["END"]}after\n')
    monkeypatch.setitem(TOOL['write_page'].__globals__, 'PAGE', page)
    TOOL['write_page'](['| row |'])
    text = page.read_text()
    assert text.startswith(f'before\n{TOOL["BEGIN"]}| system |')
    assert text.endswith(f'| row |\n{TOOL["END"]}after\n') and 'old' not in text


def test_unknown_systems_are_named(run_tool, capsys):
    assert run_tool('../projects/benchmark/list_systems', '--measure', 'no_such') == 2
    assert 'no system no_such: choose from' in capsys.readouterr().err
