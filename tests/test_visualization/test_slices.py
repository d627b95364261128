"""Slices show the right voxels, boxes only where they are cut."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmdet3d_medical.visualization import BoxLayer, draw_slice, lesion_points, slice_figure
from mmdet3d_medical.visualization.slices import WIDE

VOLUME = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
BOX = np.array([[1.0, 2.0, 3.0, 3.0, 4.0, 5.5]])


def draw(axis, position, **kwargs):
    ax = Figure().subplots()
    draw_slice(ax, VOLUME, axis, position, **kwargs)
    return ax


@pytest.mark.parametrize(
    'axis, position, expected',
    [
        (0, 2.0, VOLUME[2]),
        (1, 4.99, VOLUME[:, 4]),
        (2, -3.0, VOLUME[:, :, 0]),
        (2, 6.0, VOLUME[:, :, 5]),
    ],
)
def test_slice_of_a_position(axis, position, expected):
    (image,) = draw(axis, position).images
    np.testing.assert_array_equal(image.get_array(), expected)


def test_head_and_front_are_above():
    assert draw(0, 1.0).yaxis_inverted()  # y grows toward the back
    assert not draw(1, 1.0).yaxis_inverted() and not draw(2, 1.0).yaxis_inverted()


@pytest.mark.parametrize(
    'axis, position, rectangle',
    [
        (0, 1.0, (3.0, 2.0, 2.5, 2.0)),
        (0, 0.9, None),
        (0, 2.9, (3.0, 2.0, 2.5, 2.0)),
        (0, 3.1, None),
        (1, 3.5, (3.0, 1.0, 2.5, 2.0)),
        (2, 4.0, (2.0, 1.0, 2.0, 2.0)),
        (2, 1.0, None),
    ],
)
def test_boxes_are_drawn_where_the_slice_cuts_them(axis, position, rectangle):
    ax = draw(axis, position, layers=[BoxLayer(BOX, 'red', ['0.93'])])
    found = [(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in ax.patches]
    assert found == ([rectangle] if rectangle else [])
    assert [text.get_text() for text in ax.texts] == ['0.93'] * bool(rectangle)


def test_proportions_follow_the_spacing():
    assert draw(0, 1.0, spacing=(5.0, 2.0, 1.0)).get_aspect() == 2.0
    assert draw(1, 1.0, spacing=(5.0, 2.0, 1.0)).get_aspect() == 5.0


def test_a_row_for_each_point(tmp_path):
    figure = slice_figure(VOLUME, np.array([[1, 2, 3], [3, 0, 0.5]]), [BoxLayer(BOX)], title='a')
    assert len(figure.axes) == 6
    np.testing.assert_array_equal(figure.axes[5].images[0].get_array(), VOLUME[:, :, 0])
    figure.savefig(tmp_path / 'a.png')
    assert (tmp_path / 'a.png').stat().st_size > 1000


def test_points_of_lesions_or_the_middle():
    np.testing.assert_array_equal(lesion_points(BOX, VOLUME.shape), [[2, 3, 4.25]])
    np.testing.assert_array_equal(lesion_points(np.zeros((0, 6)), VOLUME.shape), [[2, 2.5, 3]])


@pytest.mark.parametrize('length', [4, 64, 200])
def test_the_whole_title_lies_within_the_picture(length):
    scan_id = '8' * length  # as wide as digits are
    title = f'{scan_id}: 12 lesions (green), 100 detections of at least 0.2 (red)'
    figure = slice_figure(VOLUME, np.array([[2.0, 2, 2]]), title=title)
    FigureCanvasAgg(figure).draw()
    shown, page = figure._suptitle.get_window_extent(), figure.bbox
    assert page.x0 <= shown.x0 and shown.x1 <= page.x1
    assert shown.y1 <= page.y1
    assert all(ax.get_tightbbox().y1 <= shown.y0 for ax in figure.axes)
    assert ''.join(figure._suptitle.get_text().split()) == ''.join(title.split())


def test_boxes_at_the_same_place_are_both_seen():
    """Pixels of both colors, the wider line below."""
    layers = [BoxLayer(BOX, 'lime', width=WIDE), BoxLayer(BOX, 'red')]
    figure = Figure(dpi=288)
    draw_slice(figure.subplots(), np.full((4, 5, 6), -1000), 0, 1.0, layers)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    red, green, _, _ = np.moveaxis(np.asarray(canvas.buffer_rgba()).astype(int), -1, 0)
    assert ((green - red) > 200).sum() > ((red - green) > 200).sum() > 100
