import matplotlib.image
import numpy as np

from mmdet3d_medical.evaluation.functional import froc
from mmdet3d_medical.evaluation.marks import Findings, Marks
from mmdet3d_medical.visualization.froc import plot_froc


def test_plot_draws_the_curve_where_it_belongs(tmp_path):
    # Sensitivity is 1 from the start in one plot and 0 throughout in the other.
    nodules = Findings.from_rows([('a', (0, 0, 0), 10, '')])
    images = []
    for name, x in (('found', 0), ('missed', 99)):
        result = froc(['a'], Marks.from_rows([('a', (x, 0, 0), 0.5, 5, '')]), nodules, bootstraps=5)
        plot_froc({'same label': result}, tmp_path / f'{name}.png')
        images.append(matplotlib.image.imread(tmp_path / f'{name}.png')[..., :3])
    found, missed = (np.argwhere(is_line_blue(image))[:, 0].mean() for image in images)
    assert found < missed


def is_line_blue(image):
    """Pixels of matplotlib's first color, #1f77b4."""
    return (np.abs(image - np.array([0x1F, 0x77, 0xB4]) / 255) < 0.02).all(-1)
