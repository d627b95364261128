"""Volumes, lesions and candidates of an item of the data set."""

import numpy as np
import pytest

from mmdet3d_medical.datasets.transforms import LoadCandidates, LoadVolume
from mmdet3d_medical.evaluation.marks import Marks, write_marks
from mmdet3d_medical.structures import VolumeGeometry

GEOMETRY = VolumeGeometry(
    (5.0, -7.0, 9.0), (0.7, 0.7, 2.0), (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0), (20, 24, 24)
)
CUBES = np.array(
    [[4, 5, 6, 8, 9, 10], [12, 14, 2, 15, 17, 5], [1, 1, 1, 3, 3, 3], [0, 0, 0, 3, 3, 3]],
    np.float32,
)
BOXES = np.array([[4, 5, 6, 8, 9, 10], [12, 14, 2, 15, 20, 8], [0, 0, 0, 3, 3, 3]], np.float32)


class TestLoadVolume:
    @pytest.fixture
    def results(self, tmp_path):
        volume = np.arange(20 * 24 * 24, dtype=np.int16).reshape(GEOMETRY.shape)
        np.save(tmp_path / 'a.npy', volume)
        centers, sizes = GEOMETRY.box_to_world(BOXES)
        instances = [
            dict(center=c.tolist(), size=s.tolist(), diameter=2.0, label=k, ignore=k == 2)
            for k, (c, s) in enumerate(zip(centers, sizes, strict=True))
        ]
        return dict(
            scan_id='a', volume_path=str(tmp_path / 'a.npy'), geometry=GEOMETRY, instances=instances
        )

    def test_maps_the_file_and_finds_the_boxes(self, results):
        results = LoadVolume().transform(results)
        assert results['volume'].shape == (1, 20, 24, 24)
        assert isinstance(results['volume'].base, np.memmap)
        assert results['volume'][0, 1, 2, 3] == 24 * 24 + 2 * 24 + 3
        np.testing.assert_allclose(results['gt_bboxes'], BOXES, atol=1e-5)
        assert results['gt_bboxes'].dtype == np.float32
        assert results['gt_bboxes_labels'].tolist() == [0, 1, 2]
        assert results['gt_ignore_flags'].tolist() == [False, False, True]

    def test_writing_does_not_reach_the_file(self, results):
        LoadVolume().transform(results)['volume'][:] = 7
        assert np.load(results['volume_path'])[0, 0, 1] == 1

    def test_ignored_lesions_may_be_left_out(self, results):
        results = LoadVolume(with_ignored=False).transform(results)
        assert len(results['gt_bboxes']) == 2 and not results['gt_ignore_flags'].any()

    def test_ignored_finding_around_a_lesion_is_left_out(self, results):
        lesion, _, other = results['instances']
        twin = dict(
            lesion, center=(np.array(lesion['center']) + [0.9, 0, 0]).tolist(), ignore=True, label=5
        )
        near = dict(twin, center=(np.array(lesion['center']) + [1.1, 0, 0]).tolist(), label=6)
        results = LoadVolume().transform(dict(results, instances=[lesion, twin, near, other]))
        assert results['gt_bboxes_labels'].tolist() == [0, 6, 2]

    def test_scan_without_lesions(self, results):
        results = LoadVolume().transform(dict(results, instances=[]))
        assert results['gt_bboxes'].shape == (0, 6) and results['gt_bboxes_labels'].shape == (0,)
        assert results['gt_ignore_flags'].dtype == bool

    def test_wrong_files_are_named(self, results, tmp_path):
        with pytest.raises(FileNotFoundError, match='scan a: no volume at .*b.npy'):
            LoadVolume().transform(dict(results, volume_path=str(tmp_path / 'b.npy')))
        other = VolumeGeometry((0, 0, 0), (1, 1, 1), GEOMETRY.direction, (4, 4, 4))
        with pytest.raises(ValueError, match=r'shape \(20, 24, 24\), expected int16 of shape \(4'):
            LoadVolume().transform(dict(results, geometry=other))
        np.savez(tmp_path / 'c.npz', a=np.zeros(GEOMETRY.shape, np.int16))
        longer = (tmp_path / 'a.npy').read_bytes() + b'more'
        (tmp_path / 'c.npy').write_bytes(longer)
        for name in ('c.npz', 'c.npy'):
            with pytest.raises(ValueError, match=f'scan a: .*{name} is not a volume as'):
                LoadVolume().transform(dict(results, volume_path=str(tmp_path / name)))
        (tmp_path / 'a.npy').write_bytes((tmp_path / 'a.npy').read_bytes()[:999])
        with pytest.raises(ValueError, match='scan a: .*a.npy is not a readable volume'):
            LoadVolume().transform(results)


class TestLoadCandidates:
    """Marks come back as the boxes that they were written from."""

    @pytest.fixture
    def marks(self, tmp_path):
        path = tmp_path / 'marks.csv'
        cubes = VolumeGeometry(
            (1.0, 2.0, 3.0), (2.0, 2.0, 2.0), (1, 0, 0, 0, 1, 0, 0, 0, 1), (20, 24, 24)
        )
        centers, sizes = cubes.box_to_world(CUBES)
        write_marks(
            path,
            Marks.from_rows(
                ('a' if k < 3 else 'b', center, score, size[0], '')
                for k, (center, size, score) in enumerate(
                    zip(centers, sizes, (0.9, 0.3, 0.1, 0.8), strict=True)
                )
            ),
        )
        return path, dict(scan_id='a', geometry=cubes)

    def test_boxes_and_scores_of_the_scan(self, marks):
        path, results = marks
        results = LoadCandidates(path).transform(results)
        np.testing.assert_allclose(results['candidates'], CUBES[:3], atol=1e-5)
        assert results['candidate_scores'].tolist() == [0.9, 0.3, 0.1]
        results = LoadCandidates(path, score_thr=0.3).transform(results)
        np.testing.assert_allclose(results['candidates'], CUBES[:2], atol=1e-5)

    def test_the_best_of_each_scan(self, marks):
        """In the order of the file, so that draws from them are the same."""
        path, results = marks
        lines = path.read_text().splitlines()
        path.write_text('\n'.join([lines[0], lines[3], lines[1], lines[2], *lines[4:]]) + '\n')
        best = LoadCandidates(path, per_scan=2).transform(dict(results))
        np.testing.assert_allclose(best['candidates'], CUBES[:2], atol=1e-5)
        every = LoadCandidates(path, per_scan=3).transform(dict(results))
        assert every['candidate_scores'].tolist() == [0.1, 0.9, 0.3]
        other = LoadCandidates(path, per_scan=2).transform(dict(results, scan_id='b'))
        np.testing.assert_allclose(other['candidates'], CUBES[3:], atol=1e-5)
        sure = LoadCandidates(path, score_thr=0.5, per_scan=2).transform(dict(results))
        assert sure['candidate_scores'].tolist() == [0.9]

    def test_boxes_with_extents_of_their_own(self, tmp_path):
        """Index axes run to the back, the head and the left, as those of a sagittal scan."""
        geometry = VolumeGeometry(
            (1.0, 2.0, 3.0), (1.0, 2.0, 4.0), (0, 0, 1, 1, 0, 0, 0, 1, 0), (20, 24, 24)
        )
        box = np.array([[2.0, 4, 8, 4, 10, 18]])  # 8, 12 and 10 mm to the left, the head, the back
        (center,), sizes = geometry.box_to_world(box)
        assert geometry.extents_to_world(sizes).tolist() == [[8, 10, 12]]
        marks = Marks.from_rows([('a', center, 0.5, 10.0, '', (8, 10, 12))])
        write_marks(tmp_path / 'marks.csv', marks)
        results = dict(scan_id='a', geometry=geometry)
        results = LoadCandidates(tmp_path / 'marks.csv').transform(results)
        np.testing.assert_allclose(results['candidates'], box, atol=1e-4)

    def test_a_scan_without_marks(self, marks):
        path, results = marks
        results = LoadCandidates(path).transform(dict(results, scan_id='c'))
        assert results['candidates'].shape == (0, 6) and results['candidate_scores'].shape == (0,)

    def test_marks_without_size_are_refused(self, marks):
        path, _ = marks
        path.write_text('seriesuid,coordX,coordY,coordZ,probability\na,0,0,0,0.5\n')
        with pytest.raises(ValueError, match='marks.csv: the boxes of candidates need a diameter'):
            LoadCandidates(path)

    def test_files_that_aim_at_nothing_are_refused(self, marks):
        path, _ = marks
        with pytest.raises(ValueError, match=r'reaches score_thr=0.95, the highest of 4 is 0.9'):
            LoadCandidates(path, score_thr=0.95)
        with pytest.raises(ValueError, match='score_thr must be at least 0'):
            LoadCandidates(path, score_thr=-1)
        for wrong in (0, 1.5, '2', True):
            with pytest.raises(
                ValueError, match='per_scan must be an integer of at least 1, found'
            ):
                LoadCandidates(path, per_scan=wrong)
        path.write_text('seriesuid,coordX,coordY,coordZ,probability,diameter_mm\na,0,0,0,-2,4\n')
        with pytest.raises(ValueError, match='no mark has a score above 0'):
            LoadCandidates(path)

    def test_marks_of_other_scans_are_noticed(self, marks, recwarn):
        path, results = marks
        loading = LoadCandidates(path)
        for scan_id in ['x'] * 99 + ['a'] + ['x'] * 200:
            loading.transform(dict(results, scan_id=scan_id))
        assert not recwarn
        loading = LoadCandidates(path)
        with pytest.warns(UserWarning, match='none of the first 100 scans has a candidate') as told:
            for _ in range(300):
                loading.transform(dict(results, scan_id='x'))
        assert len(told) == 1
