"""What ``mmdet3d-medical draw-focal-loss`` does."""

from argparse import Namespace

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from mmdet3d_medical.utils.files import replacing

FIGURE_1 = (0.0, 0.5, 1.0, 2.0, 5.0)
CONFIGS = (0.25, 0.75)  # alpha of configs/focalmix
TARGETS = (0.0, 0.25, 0.5, 0.75, 1.0)
WELL_CLASSIFIED = 0.5  # what lies above it, in the paper's caption
PROBABILITIES = np.linspace(0.001, 0.999, 999)


def soft_focal_loss(
    p: np.ndarray, y: float, gamma: float, alpha: tuple[float, float] = (1.0, 1.0)
) -> np.ndarray:
    """Equation 9 for any gamma; ``SoftFocalLoss``, made to be minimized, refuses 0.5."""
    weight = alpha[0] + y * (alpha[1] - alpha[0])
    entropy = -y * np.log(p) - (1 - y) * np.log(1 - p)
    return weight * np.abs(y - p) ** gamma * entropy


def draw_focal_loss(axes, gammas: list[float]) -> None:
    """Curves of the focal loss of a lesion."""
    axes.axvspan(WELL_CLASSIFIED, 1, color='0.93')
    axes.text(0.75, 1.6, 'well classified', ha='center', color='0.35')
    for gamma in gammas:
        values = soft_focal_loss(PROBABILITIES, 1.0, gamma)
        name = f'γ = {gamma:g}' + ('' if gamma else ' (cross entropy)')
        axes.plot(PROBABILITIES, values, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 5), title='Focal loss')
    axes.set(xlabel='probability $p_t$ of the right answer', ylabel='loss')
    axes.legend()


def draw_soft_targets(axes, gamma: float, alpha: tuple[float, float]) -> None:
    """Curves of the soft-target focal loss, each with its minimum."""
    for y in TARGETS:
        color = colormaps['plasma'](0.85 * y)  # from blue, background, to orange, lesion
        values = soft_focal_loss(PROBABILITIES, y, gamma, alpha)
        axes.plot(PROBABILITIES, values, color=color, label=f'y = {y:g}')
        axes.plot(y, 0, 'o', color=color, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set(title=f'Soft-target focal loss, γ = {gamma:g}, α = ({alpha[0]:g}, {alpha[1]:g})')
    axes.set(xlabel='probability $p$ of a lesion', ylabel='loss')
    axes.legend(loc='upper center')


def draw_figure(gammas: list[float], gamma: float, alpha: tuple[float, float]) -> Figure:
    figure = Figure(figsize=(10, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    draw_focal_loss(left, gammas)
    draw_soft_targets(right, gamma, alpha)
    return figure


def main(args: Namespace) -> None:
    figure = draw_figure(args.gammas, args.gamma, tuple(args.alpha))
    with replacing(args.out) as file:
        figure.savefig(file, dpi=110)
    print(f'{args.out}: gamma {", ".join(f"{gamma:g}" for gamma in args.gammas)}')
