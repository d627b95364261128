"""MixUp of the samples of a pipeline, and in mmdet's wrapper."""

import numpy as np
import pytest
import torch
from mmdet.datasets import MultiImageMixDataset
from mmengine.registry import init_default_scope

from mmdet3d_medical.datasets import VolumeDetDataset, write_index
from mmdet3d_medical.datasets.transforms import ImageMixUp, ObjectMixUp, PackVolumeInputs
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import VolumeGeometry

EYE = (1, 0, 0, 0, 1, 0, 0, 0, 1)


def rng_of(seed=0):
    return np.random.default_rng(seed)


def results_of(volume, boxes=(), ignored=None, seed=None, **extra):
    """A sample of a pipeline with a constant volume (1, 4, 4, 4), or the given one."""
    if np.isscalar(volume):
        volume = np.full((1, 4, 4, 4), volume, np.int16)
    boxes = np.array(boxes, np.float32).reshape(-1, 6)
    results = dict(
        scan_id='a',
        volume=volume,
        gt_bboxes=boxes,
        annotated=True,
        geometry=VolumeGeometry((0, 0, 0), (1, 1, 1), EYE, volume.shape[1:]),
        gt_bboxes_labels=np.arange(len(boxes)),
        gt_ignore_flags=np.array(ignored or [False] * len(boxes), bool),
        **extra,
    )
    return results if seed is None else dict(results, rng=rng_of(seed))


ONE, TWO = [0, 0, 0, 2, 2, 2], [1, 1, 1, 4, 4, 4]


class TestImageMixUpInPipelines:
    def mixed(self, own, other, eta=2.0):
        lam = ImageMixUp(eta).draw_lambda(1, rng_of(5))[0]
        return lam, ImageMixUp(eta).transform(dict(own, mix_results=[other], rng=rng_of(5)))

    def test_union_of_boxes_with_soft_scores(self):
        other = results_of(-200, [TWO, ONE], ignored=[False, True])
        lam, results = self.mixed(results_of(100, [ONE]), other)
        np.testing.assert_allclose(results['volume'], lam * 100 - (1 - lam) * 200, rtol=1e-5)
        assert results['volume'].dtype == np.float32 and 0.5 < lam < 1
        assert results['gt_bboxes'].tolist() == [ONE, TWO, ONE]
        assert results['gt_bboxes_labels'].tolist() == [0, 0, 1]
        assert results['gt_ignore_flags'].tolist() == [False, False, True]
        np.testing.assert_allclose(results['gt_bboxes_scores'], [lam, 1 - lam, 1 - lam])
        assert results['gt_bboxes_scores'].dtype == np.float32
        assert (other['volume'] == -200).all()

    def test_scores_multiply_and_a_missing_annotation_stays_missing(self):
        own = results_of(0, [ONE], gt_bboxes_scores=np.array([0.5], np.float32))
        lam, results = self.mixed(own, dict(results_of(0, [TWO]), annotated=False))
        np.testing.assert_allclose(results['gt_bboxes_scores'], [0.5 * lam, 1 - lam])
        assert results['annotated'] is False

    def test_off_leaves_the_sample_and_its_boxes(self):
        own = results_of(7, [ONE])
        _, results = self.mixed(own, results_of(9, [TWO]), eta=0)
        assert results['volume'] is own['volume'] and results['gt_bboxes'].tolist() == [ONE]
        assert results['gt_bboxes_scores'].tolist() == [1]

    def test_patches_of_two_shapes_are_refused(self):
        other = results_of(np.zeros((1, 4, 4, 5), np.int16))
        with pytest.raises(ValueError, match=r'\(1, 4, 4, 4\) cannot be mixed.*\(1, 4, 4, 5\)'):
            self.mixed(results_of(0), other)

    def test_head_turns_scores_into_soft_targets(self, small_detector):
        own, other = (
            results_of(np.zeros((1, 16, 16, 16), np.int16), [[1, 1, 1, 6, 6, 6]]),
            results_of(np.ones((1, 16, 16, 16), np.int16), [[9, 9, 9, 14, 14, 14]]),
        )
        lam, results = self.mixed(own, other)
        sample = PackVolumeInputs().transform(dict(results, gt_bboxes_labels=np.zeros(2, int)))
        init_default_scope('mmdet3d_medical')
        head = MODELS.build(small_detector()['bbox_head'])
        targets = head.get_targets(
            head.priors((16, 16, 16)),
            [sample['data_samples'].gt_instances],
            [dict(batch_input_shape=(16, 16, 16))],
        )
        values = targets.cls.unique()
        torch.testing.assert_close(values, torch.tensor([0, 1 - lam, lam]))

    def test_without_a_generator_the_global_one_decides(self):
        def run(seed):
            np.random.seed(seed)
            return ImageMixUp(2.0).transform(dict(results_of(100), mix_results=[results_of(0)]))

        volumes = [run(seed)['volume'][0, 0, 0, 0] for seed in (1, 1, 2)]
        assert volumes[0] == volumes[1] != volumes[2]


class TestObjectMixUpInPipelines:
    def test_lesions_mix_with_those_of_others(self):
        own = results_of(100, [ONE, TWO], ignored=[False, True], seed=5)
        other = results_of(-200, [TWO, ONE], ignored=[False, True])
        other['volume'][0, :1] = 3000  # ignored, but not lent
        results = ObjectMixUp(2.0).transform(dict(own, mix_results=[results_of(50), other]))
        volume = results['volume'][0]
        lam = (volume[0, 0, 0] + 200) / 300
        assert 0.5 < lam < 1
        np.testing.assert_allclose(volume[:2, :2, :2], lam * 100 - (1 - lam) * 200, rtol=1e-5)
        assert (volume[2:] == 100).all() and (volume[:, 2:] == 100).all()
        assert (own['volume'] == 100).all() and (other['volume'][0, 1:] == -200).all()
        assert results['gt_bboxes'] is own['gt_bboxes'] and 'gt_bboxes_scores' not in results

    def test_flipped_volumes(self):
        own = results_of(np.arange(64, dtype=np.int16).reshape(1, 4, 4, 4)[:, ::-1], [ONE], seed=5)
        other = results_of(np.arange(64, dtype=np.int16).reshape(1, 4, 4, 4)[:, :, ::-1], [ONE])
        mixed = ObjectMixUp(2.0).transform(dict(own, mix_results=[other]))['volume']
        # Voxel (0, 0, 0): own 48, partner's 12; voxel (1, 1, 1): own 37, partner's 25.
        lam = (mixed[0, 0, 0, 0] - 12) / 36
        np.testing.assert_allclose(mixed[0, 1, 1, 1], 25 + lam * 12, rtol=1e-5)

    @pytest.mark.parametrize(
        'own, other', [([], [ONE]), ([ONE], []), ([ONE], [[9, 9, 9, 12, 9, 9]])]
    )
    def test_nothing_to_mix(self, own, other):
        sample = results_of(100, own, seed=0)
        results = ObjectMixUp().transform(dict(sample, mix_results=[results_of(0, other)]))
        assert results['volume'] is sample['volume']


def test_in_the_wrapper_of_mmdet(tmp_path):
    """Three scans of 100, 200 and 300 HU with a lesion each, mixed by mmdet's wrapper."""
    geometry = VolumeGeometry((0, 0, 0), (1, 1, 1), EYE, (4, 4, 4))
    scans = []
    for number in range(3):
        np.save(tmp_path / f'{number}.npy', np.full((4, 4, 4), 100 * (number + 1), np.int16))
        scans.append(
            dict(
                scan_id=str(number),
                volume=f'{number}.npy',
                annotated=True,
                geometry=geometry.to_dict(),
                instances=[dict(center=[2.0, 2.0, 2.0], diameter=2.0)],
            )
        )
    write_index(tmp_path / 'index.json', dict(classes=['nodule'], scans=scans))
    dataset = VolumeDetDataset(str(tmp_path), pipeline=[dict(type='LoadVolume')])
    np.random.seed(0)
    names = [f'mmdet3d_medical.{name}' for name in ('ImageMixUp', 'ObjectMixUp')]
    wrapper = MultiImageMixDataset(
        dataset,
        [
            *(dict(type=name, eta=2.0) for name in names),
            dict(type='mmdet3d_medical.PackVolumeInputs'),
        ],
    )
    items = [wrapper[0] for _ in range(8)]
    voxels = [item['inputs'][0, 0, 0, 0].item() for item in items]
    assert all(item['data_samples'].gt_instances.scores.sum() == 1 for item in items)
    # The first scan's own generator gives one lambda; its partner is drawn anew each time.
    lam = items[0]['data_samples'].gt_instances.scores[0].item()
    expected = {round(lam * 100 + (1 - lam) * other, 2) for other in (100, 200, 300)}
    assert {round(voxel, 2) for voxel in voxels} == expected
