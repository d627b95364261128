from types import SimpleNamespace

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.logging import HistoryBuffer

from mmdet3d_medical.engine import NonFiniteLossHook


def runner_with(optim_wrapper=None, **scalars):
    hub = SimpleNamespace(
        log_scalars={
            f'train/{name}': HistoryBuffer([value], [1]) for name, value in scalars.items()
        }
    )
    return SimpleNamespace(
        iter=6, work_dir='work_dirs/mine', message_hub=hub, optim_wrapper=optim_wrapper
    )


def batch(*scan_ids):
    return [DetDataSample(metainfo=dict(scan_id=scan_id)) for scan_id in scan_ids]


def check(samples, runner=None, **losses):
    NonFiniteLossHook().after_train_iter(
        runner or runner_with(), 6, dict(data_samples=samples), losses
    )


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_names_loss_iteration_and_scans(value):
    with pytest.raises(FloatingPointError) as error:
        check(
            batch('b', 'a', 'b'),
            loss=torch.tensor(value),
            loss_cls=torch.tensor(value),
            loss_bbox=torch.tensor(1.0),
        )
    assert str(error.value).startswith(
        'loss, loss_cls is not finite in iteration 7, on scans a, b. '
    )


def test_names_scans_of_all_branches():
    samples = dict(sup=batch('labeled', 'x'), unsup=[None, *batch('unlabeled')])
    with pytest.raises(FloatingPointError, match='on scans labeled, unlabeled, x'):
        check(samples, loss=torch.tensor(float('nan')))


def test_finite_losses_pass_and_other_outputs_do_not_count():
    assert check(batch('a'), loss=torch.tensor(1e30), acc=torch.tensor(float('nan'))) is None


def test_gradient_counts_unless_a_loss_scaler_skips_such_steps():
    runner = runner_with(grad_norm=float('nan'))
    with pytest.raises(FloatingPointError, match='^grad_norm is not finite in iteration 7, on sc'):
        check(batch('a'), runner, loss=torch.tensor(1.0))
    assert check(batch('a'), runner_with(grad_norm=1e30), loss=torch.tensor(1.0)) is None
    scaled = runner_with(SimpleNamespace(loss_scaler=object()), grad_norm=float('inf'))
    assert check(batch('a'), scaled, loss=torch.tensor(1.0)) is None


# The root of infinity is infinite; that of zero is finite, but its gradient is not.
@pytest.mark.parametrize('spoilt', [float('inf'), 0.0])
def test_a_training_run_stops(spoilt, tmp_path):
    """The real runner calls the hook, and no checkpoint is saved after it."""
    from mmengine.model import BaseModel
    from mmengine.runner import Runner
    from torch.utils.data import DataLoader

    class Diverging(BaseModel):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))

        def forward(self, inputs, data_samples=None, mode='tensor'):
            return dict(loss=(self.weight * inputs[0]).sqrt())

    items = [
        dict(inputs=torch.tensor(value), data_samples=batch(f'scan{i}')[0])
        for i, value in enumerate((1.0, spoilt, 1.0))
    ]
    loader = DataLoader(
        items, collate_fn=lambda rows: {key: [row[key] for row in rows] for key in rows[0]}
    )
    runner = Runner(
        Diverging(),
        str(tmp_path),
        train_dataloader=loader,
        custom_hooks=[NonFiniteLossHook()],
        default_scope='mmdet3d_medical',
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1), clip_grad=dict(max_norm=10)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=3),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False)),
    )
    with pytest.raises(FloatingPointError, match='iteration 2, on scans scan1'):
        runner.train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_1.pth']
