import matplotlib.image
import numpy as np
import pytest
import torch

from mmdet3d_medical.cli import draw_mixup
from mmdet3d_medical.datasets import VolumeDetDataset
from mmdet3d_medical.datasets.transforms import ImageMixUp, ObjectMixUp
from mmdet3d_medical.visualization.slices import HU_WINDOW

CROP = [dict(type='LoadVolume'), dict(type='RandomCrop3D', size=(16, 16, 16), lesion_prob=0.5)]


def dataset_of(root, *pipeline, **kwargs):
    return VolumeDetDataset(str(root), pipeline=[*CROP, *pipeline], **kwargs)


@pytest.fixture
def samples(data_root):
    dataset = dataset_of(data_root, dict(type='PackVolumeInputs'))
    return draw_mixup.draw_samples(dataset, 3, np.random.default_rng(0))


def test_takes_samples_with_lesions_first_and_the_branch_in_use(samples, data_root):
    assert [len(sample['data_samples'].gt_instances) for sample in samples] == [1, 1, 1]
    branch = dict(
        type='mmdet.MultiBranch',
        branch_field=['sup', 'unsup'],
        unsup=dict(type='mmdet3d_medical.PackVolumeInputs'),
    )
    dataset = dataset_of(data_root, branch, split=['scan9'])  # the scan without a lesion
    samples = draw_mixup.draw_samples(dataset, 2, np.random.default_rng(0))
    assert [sample['data_samples'].scan_id for sample in samples] == ['scan9'] * 2
    assert samples[0]['inputs'].shape == (1, 16, 16, 16)


def pictures(figure):
    """The image drawn in each cell (rows, columns)."""
    return [
        [ax.images[0].get_array() for ax in figure.axes[k : k + 3]]
        for k in range(0, len(figure.axes), 3)
    ]


def test_figure_shows_what_is_mixed(samples):
    for number, sample in enumerate(samples):
        sample['inputs'] -= 100 * number  # lesions of three kinds, and the second is the largest
    boxes = [sample['data_samples'].gt_instances.bboxes for sample in samples]
    boxes[1][0, 5] += 1
    rows = pictures(draw_mixup.draw_figure(samples, 2, 4.0, np.random.default_rng(1)))
    assert len(rows) == 3 + 2
    rng = np.random.default_rng(1)
    lam = ImageMixUp(4.0).draw_lambda(3, rng)
    for (own, other, mixed), weight in zip(rows[:3], lam, strict=True):
        assert own.min() >= HU_WINDOW[0] and own.max() <= HU_WINDOW[1]
        np.testing.assert_allclose(mixed, weight * own + (1 - weight) * other, atol=1e-2)
    inputs = draw_mixup.stack(samples)
    mixed = ObjectMixUp(4.0).mix(inputs, boxes, rng)[0]
    z = int(boxes[1][0, [0, 3]].mean())
    np.testing.assert_array_equal(rows[3][0], inputs[1, 0, z].numpy())
    np.testing.assert_array_equal(rows[3][2], mixed[1, 0, z].numpy())
    assert (rows[3][2] != rows[3][0]).any()


def test_one_lesion_has_no_partner(samples):
    samples[0]['data_samples'].gt_instances = samples[0]['data_samples'].gt_instances[:0]
    samples[1]['data_samples'].gt_instances = samples[1]['data_samples'].gt_instances[:0]
    figure = draw_mixup.draw_figure(samples, 3, 1.0, np.random.default_rng(0))
    assert len(figure.axes) == 3 * 3


def test_draws_a_picture_of_a_config(run_tool, config, tmp_path, capsys):
    out = tmp_path / 'pictures' / 'mixup.png'
    assert run_tool('analysis_tools/draw_mixup', config, out, '--patches', 2, '--objects', 1) == 0
    assert f'{out}: 2 patches with 2 lesions' in capsys.readouterr().out
    image = matplotlib.image.imread(out)[..., :3]
    green, orange = image @ np.array([-1, 2, -1]), image @ np.array([2, 0, -2])
    assert (green > 1.5).any() and (orange > 1.5).any()


def test_what_cannot_be_mixed_is_refused(run_tool, config, tmp_path, samples, capsys):
    assert run_tool('analysis_tools/draw_mixup', config, tmp_path / 'a.png', '--patches', 1) == 2
    assert 'at least 2' in capsys.readouterr().err
    samples[0]['inputs'] = torch.zeros(1, 16, 16, 15)
    with pytest.raises(Exception, match='Patches must have one shape'):
        draw_mixup.stack(samples)
