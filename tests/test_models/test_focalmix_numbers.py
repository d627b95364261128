"""Settings of before FocalMix was composed of parts give the losses that they gave then."""

import pytest
import torch

from .test_focalmix import OFF, ema, guessed, step

OWN = dict(divide_by=dict(type='OwnPositives'))
SQUARED = dict(OWN, loss=dict(type='SoftSquaredErrorLoss'))
BRIGHT = dict(num=1, scale_range=(0.9, 1.1), shift_range=(-0.1, 0.1))
HARD = dict(type='Threshold', value=0.0101)
UNSURE = dict(type='IgnoreRange', low=0.0099, high=0.0101)
SETTINGS = dict(
    focalmix=dict(
        targets=guessed(dict(type='Sharpen', temperature=0.7), score_thr=0.012), unsup=OWN
    ),
    mixmatch=dict(
        targets=guessed(dict(type='Sharpen', temperature=0.5), num=2),
        mixers=dict(image=dict(type='ImageMixUp', eta=0.75)),
        unsup=SQUARED,
    ),
    mean_teacher=dict(
        targets=dict(type='AnchorTargets', views=BRIGHT, steps=[], bn_stats='running'),
        teacher=ema(0.01),
        unsup=SQUARED,
        **OFF,
    ),
    pseudo_labels=dict(targets=guessed(HARD, num=1), unsup=OWN, **OFF),
    confident=dict(
        targets=guessed(UNSURE, HARD, bn_stats='running'),
        teacher=dict(type='FrozenTeacher'),
        unsup=OWN,
    ),
)
# (loss_cls, unsup_loss_cls) of three steps.
LOSSES = dict(
    focalmix=[(3.5949292, 0.0002195), (3.37605, 0.4237925), (3.9707139, 0.0016927)],
    mixmatch=[(2.1579208, 0.6494762), (4.0194054, 0.8103337), (3.9344172, 0.8161035)],
    mean_teacher=[(4.3605938, 0.002111), (4.1062365, 0.0069062), (3.8496187, 0.0257407)],
    pseudo_labels=[(4.3605938, 4.2739658), (4.0134583, 4.1088767), (3.4899054, 3.8454278)],
    confident=[(3.6558259, 4.265635), (3.7190645, 2.4611351), (3.7648363, 3.3756626)],
)


@pytest.mark.parametrize('name', SETTINGS)
def test_losses_of_some_steps(focalmix, make_branches, name):
    model = focalmix(**SETTINGS[name])
    optimizer = torch.optim.SGD(model.detector.parameters(), lr=0.01)
    for expected in LOSSES[name]:
        losses = step(model, make_branches())
        optimizer.step()
        model.follow()
        found = [losses[key].item() for key in ('loss_cls', 'unsup_loss_cls')]
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
