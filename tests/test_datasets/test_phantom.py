"""The synthetic chest CT: its files, its statistics, its geometry."""

import csv
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.cli import main
from mmdet3d_medical.datasets.phantom import PhantomWriter, make_scan, phantom_settings, scan_uid
from mmdet3d_medical.datasets.phantom.anatomy import AIR
from mmdet3d_medical.datasets.phantom.grid import Grid, draw_tube, smooth_field
from mmdet3d_medical.datasets.phantom.nodules import draw_count, draw_diameter
from mmdet3d_medical.datasets.phantom.scanner import Scanner
from mmdet3d_medical.datasets.phantom.shapes import Shape
from mmdet3d_medical.datasets.phantom.vessels import grow_tree
from mmdet3d_medical.utils import files as whole_files

SMALL = phantom_settings(shape=(48, 64, 64))
NO_PROCESS = 999999999
# Nothing but clear nodules in front of a quiet background, to see where they are.
PLAIN = replace(
    SMALL,
    healthy_fraction=0.0,
    contrast=(1.0, 1.0),
    ground_glass=(0.9, 0.9),
    noise=(1.0, 2.0),
    hu_offset=(0.0, 0.0),
    hu_scale=(1.0, 1.0),
    lookalikes=0.0,
)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def rows(path: Path) -> list[dict]:
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope='module')
def made(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('phantom') / 'data'
    PhantomWriter(out, SMALL, seed=3).write(12)
    return out


# Files


def test_layout_is_that_of_luna16(made):
    uids = [scan_uid(3, index) for index in range(12)]
    assert (made / 'seriesuids.csv').read_text().split() == sorted(uids)
    for index, uid in enumerate(uids):
        image = sitk.ReadImage(str(made / f'subset{index % 10}' / f'{uid}.mhd'))
        lungs = sitk.ReadImage(str(made / 'seg-lungs-LUNA16' / f'{uid}.mhd'))
        assert image.GetPixelID() == sitk.sitkInt16
        assert image.GetSize() == lungs.GetSize()
        for part in ('Origin', 'Spacing', 'Direction'):
            assert getattr(image, f'Get{part}')() == getattr(lungs, f'Get{part}')()
        assert set(np.unique(sitk.GetArrayFromImage(lungs))) == {0, 3, 4, 5}
    header = 'seriesuid,coordX,coordY,coordZ,diameter_mm'
    for table in ('annotations.csv', 'annotations_excluded.csv'):
        assert (made / table).read_text().splitlines()[0] == header
        assert {row['seriesuid'] for row in rows(made / table)} <= set(uids)


def test_excluded_findings_hold_every_nodule_and_lie_clear_of_them_otherwise(made):
    nodules = rows(made / 'annotations.csv')
    excluded = rows(made / 'annotations_excluded.csv')
    assert nodules and all(row in excluded for row in nodules)
    others = [row for row in excluded if row not in nodules]
    assert {row['diameter_mm'] for row in others} > {'-1'}, 'tiny lesions have a diameter'
    for row in others:
        assert float(row['diameter_mm']) < 3
        for nodule in nodules:
            if nodule['seriesuid'] == row['seriesuid']:
                gap = [float(row[k]) - float(nodule[k]) for k in ('coordX', 'coordY', 'coordZ')]
                # an unmeasured finding reaches 5 mm in LUNA16's scoring
                assert np.linalg.norm(gap) > float(nodule['diameter_mm']) / 2 + 5


def test_same_bytes_whatever_the_workers_and_the_number_of_scans(made, tmp_path):
    PhantomWriter(tmp_path / 'few', SMALL, seed=3).write(4, workers=2)
    few, many = files(tmp_path / 'few'), files(made)
    scans = {name for name in few if not name.endswith('.csv')}
    assert len(scans) == 4 * 5 + 1  # four image files and a record per scan, and the settings
    assert all(few[name] == many[name] for name in scans)
    PhantomWriter(tmp_path / 'few', SMALL, seed=3).write(12)
    assert files(tmp_path / 'few') == many


def test_interrupted_run_is_completed_and_complete_scans_are_left_alone(made, tmp_path):
    out = tmp_path / 'data'
    PhantomWriter(out, SMALL, seed=3).write(3)
    whole = files(out)
    record, lost = scan_uid(3, 0), scan_uid(3, 1)
    (out / 'records' / f'{record}.json').unlink()
    (out / 'subset0' / f'{record}.raw').write_bytes(b'half')
    (out / 'subset1' / f'{lost}.raw').unlink()
    stale = out / 'subset0' / f'{whole_files.SCRATCH}-{whole_files._host()}-{NO_PROCESS}-x'
    stale.mkdir()
    whole_files._remove_abandoned.cache_clear()  # as in another process
    (stale / 'part.mhd').touch()
    kept = (out / 'subset2' / f'{scan_uid(3, 2)}.raw').stat().st_mtime_ns
    finished = []
    done = PhantomWriter(out, SMALL, seed=3).write(3, on_scan=finished.append)
    assert done['made'] == 2 and done['scans'] == 3 and sum(finished) == 3
    assert files(out) == whole
    assert (out / 'subset2' / f'{scan_uid(3, 2)}.raw').stat().st_mtime_ns == kept


@pytest.mark.parametrize(
    'seed, wanted, message',
    [(4, SMALL, 'seed 3'), (3, replace(SMALL, lookalikes=1.0), 'lookalikes 8')],
)
def test_other_phantom_is_not_mixed_in(made, seed, wanted, message):
    before = files(made)
    with pytest.raises(ValueError, match=f'holds another phantom: {message}'):
        PhantomWriter(made, wanted, seed).write(1)
    assert files(made) == before


def test_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / 'thesis.txt').touch()
    with pytest.raises(ValueError, match='holds files but no phantom'):
        PhantomWriter(tmp_path, SMALL, 0).write(1)
    assert list(files(tmp_path)) == ['thesis.txt']


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--scans', '0'], 'scans must be at least 1, got 0'),
        (['--scans', '1', '--workers', '0'], 'workers must be at least 1'),
        (['--scans', '1', '--seed', '-1'], 'seed must be at least 0'),
        (['--scans', '1', '--shape', '8', '64', '64'], 'at least 24 voxels'),
        (
            ['--scans', '1', '--shape', '48', '48', '48', '--spacing', '1', '1', '1'],
            'at least 80 mm',
        ),
        (['--scans', '1', '--spacing', '0', '2', '2'], 'spacing must be positive'),
    ],
)
def test_wrong_arguments_are_named(arguments, message, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit, match='2'):
        run_tool(monkeypatch, tmp_path / 'data', *arguments)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob('*.mhd'))


def test_tool_says_what_it_wrote(tmp_path, monkeypatch, capsys):
    run_tool(monkeypatch, tmp_path, '--scans', '2', '--shape', '48', '64', '64', '--seed', '3')
    nodules = Counter(row['seriesuid'] for row in rows(tmp_path / 'annotations.csv'))
    said = ' '.join(capsys.readouterr().out.split())
    healthy, total = 2 - len(nodules), sum(nodules.values())
    assert f'2 scans (2 new, {healthy} without a nodule), {total} nodules,' in said


def run_tool(monkeypatch, out, *arguments):
    monkeypatch.setattr(sys, 'argv', ['make_phantom.py', str(out), *arguments])
    main('make-phantom')


def test_unknown_difficulty_is_named():
    with pytest.raises(ValueError, match="'extreme' is unknown; choose from .*'easy'"):
        phantom_settings('extreme')


# Geometry


def test_nodules_are_where_the_table_says_in_every_orientation(tmp_path):
    PhantomWriter(tmp_path, PLAIN, seed=0).write(16)
    seen = Counter()
    for row in rows(tmp_path / 'annotations.csv'):
        (path,) = tmp_path.glob(f'subset*/{row["seriesuid"]}.mhd')
        image = sitk.ReadImage(str(path))
        index = image.TransformPhysicalPointToIndex([float(row[f'coord{a}']) for a in 'XYZ'])
        x, y, z = (slice(max(i - 1, 0), i + 2) for i in index)
        center = sitk.GetArrayFromImage(image)[z, y, x]
        assert center.max() > -600, 'denser than any lung tissue'
        seen[tuple(np.sign(np.round(np.diag(np.reshape(image.GetDirection(), (3, 3))), 6)))] += 1
    assert len(seen) == 3, 'as is, turned half round, head first'


def test_lung_mask_follows_the_image_and_holds_the_nodules():
    inside = total = 0
    for index in range(10):
        scan = make_scan(PLAIN, 1, index)
        lungs = (scan.lungs == 3) | (scan.lungs == 4)
        assert np.median(scan.volume[lungs]) < -800
        center = scan.geometry.world_to_index(np.array([n.center for n in scan.nodules]))
        inside += lungs[tuple(np.rint(center).astype(int).T)].sum()
        total += len(center)
        # label 3 is the left lung: larger x in the world, whichever way the array runs
        left, right = (
            scan.geometry.index_to_world(np.argwhere(scan.lungs == label)).mean(0)
            for label in (3, 4)
        )
        assert left[0] > right[0]
    assert inside / total > 0.9


@given(st.tuples(*[st.floats(0.5, 3)] * 3), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_stored_world_position_is_that_of_the_voxel_drawn(spacing, seed):
    wanted = replace(SMALL, shape=(64, 200, 200), spacing=tuple(max(s, 1.5) for s in spacing))
    scanner = Scanner.draw(wanted, np.random.default_rng(seed))
    index = np.random.default_rng(seed + 1).integers(0, scanner.grid.shape)
    marked = np.zeros(scanner.grid.shape, np.uint8)
    marked[tuple(index)] = 1
    world = scanner.to_world(scanner.grid.to_mm(index))
    found = scanner.geometry.index_to_world(np.argwhere(scanner.store(marked)))[0]
    np.testing.assert_allclose(found, world, atol=1e-6)


# Drawing


@given(
    st.floats(3.25, 12), st.tuples(*[st.floats(0.7, 2.5)] * 3), st.tuples(*[st.floats(-1, 1)] * 3)
)
@settings(max_examples=25, deadline=None)
def test_ball_fills_its_volume_wherever_it_lies_between_the_voxels(diameter, spacing, center):
    grid = Grid((24, 24, 24), spacing)
    one, none = np.ones(3), np.zeros(1)
    ball = Shape(diameter / 2, one, np.eye(3)[:1], none, none, softness=0.5)
    share = ball.share(grid, grid.window(-one * 1e3, one * 1e3), np.array(center))
    volume = share.sum(dtype=float) * np.prod(spacing)
    assert volume == pytest.approx(np.pi * diameter**3 / 6, rel=0.08)
    middle = [
        (share.sum(tuple({0, 1, 2} - {i})) * axis.ravel()).sum()
        for i, axis in enumerate(grid.axes())
    ]
    np.testing.assert_allclose(np.array(middle) / share.sum(), center, atol=0.1)


def test_shapes_keep_their_size_whatever_their_margin():
    grid = Grid((40, 40, 40), (0.7, 0.7, 0.7))
    window = tuple(slice(0, 40) for _ in range(3))
    for margin in ('smooth', 'lobulated', 'spiculated'):
        volumes = []
        for seed in range(12):
            shape = Shape.draw(12.0, margin, 0.5, np.random.default_rng(seed))
            volumes.append(shape.share(grid, window, np.zeros(3)).sum(dtype=float) * 0.7**3)
        assert (6 * np.mean(volumes) / np.pi) ** (1 / 3) == pytest.approx(12.0, rel=0.12), margin


@pytest.mark.parametrize('radius', [0.3, 0.8, 2.0, 5.0])
def test_tube_fills_its_cross_section(radius):
    grid = Grid((30, 30, 30), (1.5, 1.5, 1.5))
    share = np.zeros(grid.shape, np.float32)
    ends = np.array([-100.0, 0.4, -0.3]), np.array([100.0, 0.4, -0.3])
    draw_tube(share, grid, *ends, (radius, radius))
    area = share[15].sum() * 1.5**2
    assert area == pytest.approx(np.pi * radius**2, rel=0.1)
    assert np.ptp(share.sum((1, 2))) < 1e-3, 'the same in every slice it runs through'


def test_tube_outside_the_volume_draws_nothing():
    grid = Grid((10, 10, 10), (1.0, 1.0, 1.0))
    share = np.zeros(grid.shape, np.float32)
    draw_tube(share, grid, np.array([50.0, 0, 0]), np.array([60.0, 0, 0]), (2.0, 2.0))
    assert not share.any()


def test_smooth_field_is_correlated_over_its_length():
    grid = Grid((80, 80, 80), (2.0, 2.0, 2.0))
    field = smooth_field(grid, 12.0, np.random.default_rng(0))
    field = (field - field.mean()) / field.std()

    def correlation(voxels):
        return float((field[voxels:] * field[:-voxels]).mean())

    assert correlation(1) > 0.9 and abs(correlation(24)) < 0.15


def test_tree_joins_by_murrays_law_and_reaches_its_targets():
    rng = np.random.default_rng(0)
    targets = rng.uniform(-50, 50, (40, 3))
    tree = grow_tree(np.array([0.0, 0.0, -60.0]), targets, 0.5, rng, step=8.0)
    assert all((np.linalg.norm(tree.nodes - t, axis=1) < 1e-9).any() for t in targets)
    assert (tree.parents[1:] < np.arange(1, len(tree.nodes))).all()
    for node in range(len(tree.nodes)):
        children = np.flatnonzero(tree.parents == node)
        if len(children):
            joined = (tree.radii[children] ** 2.7).sum() ** (1 / 2.7)
            assert tree.radii[node] == pytest.approx(joined)
        else:
            assert tree.radii[node] == pytest.approx(0.5)


# Statistics


def test_diameters_follow_luna16():
    rng = np.random.default_rng(0)
    diameters = np.array([draw_diameter(rng) for _ in range(8000)])
    assert diameters.min() >= 3.25 and diameters.max() <= 32.27
    np.testing.assert_allclose(
        np.percentile(diameters, [25, 50, 75]), [5.11, 6.43, 9.70], rtol=0.03
    )


def test_counts_follow_luna16():
    rng = np.random.default_rng(0)
    counts = np.array([draw_count(SMALL, rng) for _ in range(6000)])
    assert (counts == 0).mean() == pytest.approx(287 / 888, abs=0.02)
    assert counts[counts > 0].mean() == pytest.approx(1186 / 601, rel=0.05)
    assert counts.max() == 12


def test_lungs_look_like_those_of_real_scans():
    scans = [make_scan(phantom_settings(), 0, index) for index in range(5)]
    lungs = [s.volume[(s.lungs == 3) | (s.lungs == 4)].astype(float) for s in scans]
    assert -930 < np.mean([v.mean() for v in lungs]) < -880
    assert 75 < np.mean([v.std() for v in lungs]) < 110
    shapes = {s.volume.shape for s in scans}
    assert len(shapes) > 3, 'every scan has its own grid'
    for scan in scans:
        view = np.multiply(scan.volume.shape, scan.geometry.spacing_zyx)
        np.testing.assert_allclose(view, [192, 256, 256], rtol=0.06)
        assert scan.volume[0, 0, 0] < AIR + 150


def test_difficulty_changes_noise():
    def noise(difficulty):
        made = phantom_settings(difficulty, shape=(48, 64, 64))
        corners = [make_scan(made, 0, index).volume[:, :4, :4].std() for index in range(6)]
        return np.mean(corners)

    assert noise('easy') < 0.7 * noise('default') < 0.7 * noise('hard')
