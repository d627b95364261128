import math

import matplotlib.image
import numpy as np
import pytest
import torch

from mmdet3d_medical.cli import draw_focal_loss
from mmdet3d_medical.models.losses import SoftFocalLoss


def curves(axes) -> dict:
    """Points of the lines in the legend, by their names."""
    return {
        line.get_label(): np.stack(line.get_data())
        for line in axes.get_lines()
        if not line.get_label().startswith('_')
    }


@pytest.mark.parametrize('gamma', [0.0, 1.0, 2.0, 5.0])
@pytest.mark.parametrize('y', [0.0, 0.3, 1.0])
def test_what_is_drawn_is_the_loss_that_is_trained(gamma, y):
    p, alpha = draw_focal_loss.PROBABILITIES, (0.25, 0.75)
    logits = torch.from_numpy(p).logit()
    loss = SoftFocalLoss(alpha, gamma, reduction='none')(logits, torch.full_like(logits, y))
    np.testing.assert_allclose(draw_focal_loss.soft_focal_loss(p, y, gamma, alpha), loss, atol=1e-9)


def test_curves():
    """At p_t = 0.1 figure 1 has the gammas between log 10 = 2.30 and 0.9^5 of it."""
    left, right = draw_focal_loss.draw_figure([0, 0.5, 5], 2.0, (0.25, 0.75)).axes
    lines = curves(left)
    factors = {'γ = 0 (cross entropy)': 1, 'γ = 0.5': 0.9**0.5, 'γ = 5': 0.9**5}
    assert set(lines) == set(factors)
    for name, factor in factors.items():
        assert np.interp(0.1, *lines[name]) == pytest.approx(factor * math.log(10), rel=1e-3)
    lines = curves(right)
    assert len(lines) == 5
    for name, (p, loss) in lines.items():
        assert p[loss.argmin()] == pytest.approx(float(name.split()[-1]), abs=0.0011)


def test_draws_a_picture(run_tool, tmp_path, capsys):
    out = tmp_path / 'pictures' / 'loss.png'
    assert run_tool('analysis_tools/draw_focal_loss', out, '--gammas', 0, 2) == 0
    assert f'{out}: gamma 0, 2' in capsys.readouterr().out
    assert matplotlib.image.imread(out).shape[:2] == (440, 1100)
