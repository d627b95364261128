"""A small data set and tables that use it."""

from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
import yaml
from study.data import BenchmarkData, read_data
from study.results import Results
from study.runs import Bench
from study.scores import score_marks

from mmdet3d_medical.evaluation.marks import Marks

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / 'tools'
SHARED = run_path(str(ROOT / 'tests/conftest.py')) | run_path(
    str(ROOT / 'tests/test_tools/conftest.py')
)
own_scope, config, data_root, run_tool = (
    SHARED[name] for name in ('own_scope', 'config', 'data_root', 'run_tool')
)
PLAIN = 'configs/retina3d/retina3d_fpn_phantom.py'
MIXED = 'configs/focalmix/retina3d_fpn_phantom.py'
DATA = dict(
    name='tiny',
    scans=10,
    seed=3,
    shape=[40, 40, 40],
    spacing=[2, 2, 2],
    draws=2,
    subsets=dict(training=[0, 1, 2, 3], validation=[4], test=[5, 6, 7, 8, 9]),
    labeled=[1, 2],
    unlabeled=[2],
)
TABLE = dict(
    title='A table',
    data='data.yml',
    scored_on='test',
    seeds=[0, 1],
    options={'train_cfg.max_iters': 4},
    rows=[
        dict(name='plain', config=PLAIN),
        dict(
            name='mixed',
            label='with MixUp',
            config=MIXED,
            baseline='plain',
            options={'model.seed': 1},
            paper=0.5,
        ),
        dict(name='later', config=PLAIN, start='plain', baseline='plain'),
    ],
)


@pytest.fixture(scope='session')
def data(tmp_path_factory) -> tuple[BenchmarkData, Path]:
    """A data set that is made and recorded, and where it is."""
    folder = tmp_path_factory.mktemp('benchmark')
    (folder / 'data.yml').write_text(yaml.safe_dump(DATA))
    definition = read_data(folder / 'data.yml')
    definition.make(folder / 'made', workers=1)
    definition.record(folder / 'made')
    return definition, folder / 'made'


@pytest.fixture
def write_table(tmp_path):
    """Function that writes a table, changed as asked for, and gives its path."""

    def write(name='table', **changes) -> Path:
        path = tmp_path / f'{name}.yml'
        path.write_text(yaml.safe_dump({**TABLE, **changes}, sort_keys=False))
        return path

    return write


@pytest.fixture
def bench(data, tmp_path) -> Bench:
    return Bench(
        TOOLS,
        *data,
        scored_on='test',
        work=tmp_path / 'work',
        results=Results(tmp_path / 'results'),
    )


@pytest.fixture
def write_result(bench):
    """Function that writes the result of a run that found some nodules and was wrong elsewhere."""

    def write(run, found, false=3, **changes) -> None:
        truth = bench.data.truth('test')
        rng = np.random.default_rng(run.seed)
        nodules = [
            number for number, scan in enumerate(truth.nodules.scan_ids) if scan in truth.scan_ids
        ]
        rows = [
            (truth.nodules.scan_ids[number], truth.nodules.centers[number])
            for number in nodules[:found]
        ]
        rows += [(scan, (1000, 0, 0)) for scan in truth.scan_ids[:false]]
        marks = Marks.from_rows(
            (*row, score, np.nan, '')
            for row, score in zip(rows, rng.random(len(rows)), strict=True)
        )
        score = score_marks(marks, truth).to_dict()
        bench.results.keep(
            run,
            {
                **bench.describe(run),
                'scored_on': 'test',
                **score,
                'steps': 4,
                'seconds': 90.0,
                **changes,
            },
        )

    return write
