"""Pictures of samples, by the visualizer and during training and testing."""

import matplotlib.image
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from mmengine.visualization import LocalVisBackend, Visualizer

from mmdet3d_medical.engine import VolumeVisualizationHook
from mmdet3d_medical.registry import VISUALIZERS
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.visualization.samples import as_rgb, sample_figure
from mmdet3d_medical.visualization.visualizer import VolumeVisualizer

SHAPE = (12, 20, 24)
LESION, FAR, WEAK = (2, 3, 4, 6, 8, 10), (7, 12, 15, 10, 16, 20), (1, 1, 1, 3, 3, 3)
GREEN, ORANGE, RED = (0, 255, 0), (255, 165, 0), (255, 0, 0)


def boxes(*rows):
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)


def make_sample(lesions=(LESION,), ignored=(), found=((*LESION, 0.4), (*FAR, 0.9), (*WEAK, 0.1))):
    geometry = VolumeGeometry((0.0,) * 3, (1.0, 1.0, 2.0), np.eye(3).ravel(), SHAPE)
    sample = DetDataSample(metainfo=dict(scan_id='ct1', geometry=geometry))
    sample.gt_instances = InstanceData(bboxes=boxes(*lesions))
    sample.ignored_instances = InstanceData(bboxes=boxes(*ignored))
    if found is not None:
        sample.pred_instances = InstanceData(
            bboxes=boxes(*(row[:6] for row in found)),
            scores=torch.tensor([row[6] for row in found]),
        )
    return sample


def volume():
    return torch.full((1, *SHAPE), -850, dtype=torch.int16)


def planes(figure):
    """Titles of the slices of each row."""
    titles = [ax.get_title() for ax in figure.axes]
    return [titles[start : start + 3] for start in range(0, len(titles), 3)]


def colors(image):
    """Those of the boxes that are in a picture; lines between two pixels are a little darker."""
    pixels = image.reshape(-1, 3).astype(int)
    return {c for c in (GREEN, ORANGE, RED) if (np.abs(pixels - c).max(axis=1) < 60).any()}


def test_lesions_come_first_then_detections_beside_them():
    figure = sample_figure(volume(), make_sample())
    assert planes(figure) == [
        ['axial z = 4', 'coronal y = 5', 'sagittal x = 7'],
        ['axial z = 8', 'coronal y = 14', 'sagittal x = 17'],
    ]
    texts = {text.get_text() for ax in figure.axes for text in ax.texts}
    assert texts == {'', '0.40', '0.90'}  # the weak one is not drawn
    assert '1 lesions, 2 detections of at least 0.3' in figure.get_suptitle().replace('\n', ' ')


def test_the_surest_detections_are_shown():
    sample = make_sample(lesions=(), found=((*WEAK, 0.5), (*FAR, 0.9)))
    assert planes(sample_figure(volume(), sample, max_rows=1))[0][0] == 'axial z = 8'
    assert len(planes(sample_figure(volume(), sample))) == 2


@pytest.mark.parametrize(
    'options, there',
    [
        ({}, {GREEN, ORANGE, RED}),
        (dict(draw_gt=False), {RED}),
        (dict(draw_pred=False), {GREEN, ORANGE}),
        (dict(score_thr=0.95), {GREEN, ORANGE}),
    ],
)
def test_what_is_drawn(options, there):
    sample = make_sample(ignored=[(3, 10, 2, 6, 14, 6)], found=((*FAR, 0.9),))
    image = as_rgb(sample_figure(volume(), sample, **options))
    assert image.dtype == np.uint8 and image.shape[2] == 3
    assert colors(image) == there


def test_samples_without_lesions_or_detections_show_the_middle():
    for sample in (make_sample((), found=None), make_sample((), found=())):
        assert planes(sample_figure(volume(), sample)) == [
            ['axial z = 6', 'coronal y = 10', 'sagittal x = 12']
        ]


def test_all_backends_get_the_picture(tmp_path):
    visualizer = VISUALIZERS.build(
        dict(
            type='mmdet3d_medical.VolumeVisualizer',
            name=str(tmp_path),
            save_dir=str(tmp_path),
            vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
        )
    )
    assert isinstance(visualizer, VolumeVisualizer)
    sample = make_sample(found=((*FAR, 0.9),))
    visualizer.add_datasample('val_ct1', volume(), sample, step=7)
    picture = matplotlib.image.imread(tmp_path / 'vis_data/vis_image/val_ct1_7.png')
    assert {GREEN, RED} <= colors(picture[..., :3] * 255)
    visualizer.close()
    assert images_in_tensorboard(tmp_path / 'vis_data') == {'val_ct1': [7]}
    visualizer.add_datasample('x', volume(), make_sample(), out_file=tmp_path / 'new/ct1.png')
    assert (tmp_path / 'new/ct1.png').is_file()
    assert len(list((tmp_path / 'vis_data/vis_image').iterdir())) == 1


def images_in_tensorboard(folder):
    """Steps of each image."""
    accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    events = accumulator.EventAccumulator(str(folder)).Reload()
    return {tag: [e.step for e in events.Images(tag)] for tag in events.Tags()['images']}


class Run:
    """What the hook asks of a runner."""

    iter = 5

    def __init__(self, folder, visualizer=None):
        self.log_dir = str(folder)
        self.visualizer = visualizer or self
        self.drawn = []

    def add_datasample(self, name, image, sample, **options):
        self.drawn.append((name, options['step'] if 'step' in options else options['out_file']))


def test_the_first_scans_of_each_validation_are_drawn(tmp_path):
    run, hook = Run(tmp_path), VolumeVisualizationHook(number=3)
    batch = dict(inputs=[volume()] * 2)
    for _ in range(2):
        hook.before_val_epoch(run)
        for number in range(4):
            hook.after_val_iter(run, number, batch, [make_sample()] * 2)
    assert run.drawn == [('val_ct1', 5)] * 6


@pytest.mark.parametrize('number, count', [(None, 6), (0, 0), (3, 3)])
def test_scans_of_a_test_are_written(tmp_path, number, count):
    run, hook = Run(tmp_path), VolumeVisualizationHook(test_number=number)
    hook.before_test_epoch(run)
    for batch in range(3):
        hook.after_test_iter(run, batch, dict(inputs=[volume()] * 2), [make_sample()] * 2)
    assert run.drawn == [('ct1', tmp_path / 'pictures/ct1.png')] * count


def test_what_the_hook_cannot_work_with_is_refused(tmp_path):
    plain = Visualizer(vis_backends=[LocalVisBackend(str(tmp_path))])
    with pytest.raises(ValueError, match="visualizer=dict.type='VolumeVisualizer'.*found Visuali"):
        VolumeVisualizationHook().before_run(Run(tmp_path, plain))
    for wrong in (dict(number=-1), dict(test_number=-1), dict(max_rows=0)):
        with pytest.raises(ValueError, match='must not be negative'):
            VolumeVisualizationHook(**wrong)
