"""Mistakes of configs, options and weights end with one line, exit status 2 and no traceback."""

import os

import numpy as np
import pytest
import torch

from mmdet3d_medical.utils.processes import lock_folder


@pytest.fixture
def refused(run_tool, config, capfd):
    """The one line with which a run is refused."""

    def refuse(*options, tool='train', path=config) -> str:
        capfd.readouterr()
        assert run_tool(tool, path, '--shrink', '--work-dir', 'work', *options) == 2
        error = capfd.readouterr().err
        assert 'Traceback' not in error
        return error.strip().splitlines()[-1]

    return refuse


@pytest.mark.tried(
    'configs',
    'batch size 0, a negative length or rate, a rate of "fast"',
    'refused at the start, the key named',
)
@pytest.mark.parametrize(
    'option, message',
    [
        ('train_dataloader.batch_size=0', 'train_dataloader.batch_size is 0'),
        ('train_dataloader.num_workers=-1', 'train_dataloader.num_workers is -1'),
        ('train_cfg.max_iters=0', 'train_cfg.max_iters is 0'),
        ('train_cfg.max_iters=-5', 'train_cfg.max_iters is -5'),
        ('train_cfg=5', 'train_cfg is 5'),
        ('work_dir=3', 'work_dir is 3'),
        ('randomness.seed=x', "randomness.seed is 'x'"),
        ('default_hooks.checkpoint.interval=x', "default_hooks.checkpoint.interval is 'x'"),
        ('train_cfg.val_interval=0', 'train_cfg.val_interval is 0'),
        ('optim_wrapper.optimizer.lr=fast', "optim_wrapper.optimizer.lr is 'fast'"),
        ('optim_wrapper.optimizer.lr=-1', 'optim_wrapper.optimizer.lr is -1'),
        ('optim_wrapper.optimizer.lr=nan', 'optim_wrapper.optimizer.lr is nan'),
    ],
)
def test_numbers_that_nothing_can_work_with(option, message, refused):
    assert message in refused('--cfg-options', option)


@pytest.mark.tried(
    'configs',
    'misspelled keys and options, options without =',
    'refused, with the key that was meant',
)
@pytest.mark.parametrize(
    'option, message',
    [
        ('load_form=weights.pth', "Did you mean 'load_from'?"),
        ('no_such_thing=1', "has no 'no_such_thing'"),
        ('train_cfg.max_iter=2', "Did you mean 'max_iters'?"),
        ('optim_wrapper.optimiser.lr=0.1', "Did you mean 'optimizer'?"),
        ('train_cfg.max_iters', "expected KEY=VALUE, found 'train_cfg.max_iters'"),
        ('train_cfg.max_iters=[1,(2]', 'Imbalanced brackets'),
        ("custom_hooks=[{type:'EMAHook'}]", 'dictionaries are written as in Python'),
        ("custom_hooks=[{'type':", 'dictionaries are written as in Python'),
    ],
)
def test_misspelled_options(option, message, refused):
    assert message in refused('--cfg-options', option)


def test_a_misspelled_key_of_the_config(refused, config):
    config.write_text(config.read_text() + "load_form = 'weights.pth'\n")
    assert "nothing reads 'load_form'. Did you mean 'load_from'?" in refused()


def test_variables_of_a_config_are_its_own(config, run_tool):
    free = ('train_loader', 'optim_wrapper_cfg', 'train_dataloader_2', 'val_dataloader1')
    config.write_text(
        config.read_text() + 'my_own_patch = 3\n' + ''.join(f'{name} = 1\n' for name in free)
    )
    assert (
        run_tool(
            'train', config, '--shrink', '--cfg-options', 'train_cfg.max_iters=1', 'my_own_patch=4'
        )
        == 0
    )


@pytest.mark.tried(
    'configs', 'unknown types, keys that a part does not take', 'refused, type and key named'
)
@pytest.mark.parametrize(
    'option, message',
    [
        ('model.backbone.type=ResNt3D', 'ResNt3D is not in'),
        ('model.backbone.no_such=1', "unexpected keyword argument 'no_such'"),
        ('optim_wrapper.optimizer.no_such=1', "unexpected keyword argument 'no_such'"),
        ('train_dataloader.dataset.no_such=1', "unexpected keyword argument 'no_such'"),
    ],
)
def test_parts_that_do_not_take_it(option, message, refused):
    assert message in refused('--cfg-options', option)


@pytest.mark.tried(
    'configs',
    'a syntax error, a missing base, a pipe, a broken link',
    'refused, file and line named',
)
def test_configs_that_cannot_be_read(refused, tmp_path):
    broken, orphan, link, pipe = (
        tmp_path / f'{name}.py' for name in ('broken', 'orphan', 'link', 'pipe')
    )
    broken.write_text('a = 1\nb = (\n')
    orphan.write_text("_base_ = './nowhere.py'\n")
    link.symlink_to(tmp_path / 'gone.py')
    os.mkfifo(pipe)
    assert 'broken.py' in refused(path=broken) and 'line 2' in refused(path=broken)
    assert 'nowhere.py' in refused(path=orphan)
    for path in (link, pipe):
        assert f'There is no config {path}' in refused(path=path)
    assert f'There is no checkpoint {pipe}' in refused('--cfg-options', f'load_from={pipe}')


@pytest.mark.tried('configs', "num_classes that is not the data set's", 'refused before a step')
@pytest.mark.parametrize('around', [False, True])
def test_classes_of_another_number(around, refused, config):
    model = 'model = dict(bbox_head=dict(num_classes=2))\n'
    if around:
        model = (
            "model = dict(_delete_=True, type='FocalMixDetector', "
            'detector=dict(_base_.model, bbox_head=dict(_base_.model.bbox_head, '
            'num_classes=2)))\n'
        )
    config.write_text(config.read_text() + model)
    message = refused()
    assert 'num_classes' in message and 'is 2' in message and "1 classes, ('nodule',)" in message


@pytest.mark.tried('faults', 'an error in a worker process of a data loader', 'its own line')
def test_errors_in_worker_processes(refused, config, data_root, tmp_path):
    copy = tmp_path / 'copy'
    copy.mkdir()
    (copy / 'volumes').mkdir()
    (copy / 'index.json').write_text((data_root / 'index.json').read_text())
    for path in (data_root / 'volumes').iterdir():
        np.save(copy / 'volumes' / path.name, np.zeros((2, 2, 2), np.int16))
    line = refused(
        '--cfg-options',
        f'train_dataloader.dataset.data_root={copy}',
        'train_dataloader.num_workers=1',
    )
    assert line.startswith('error: ') and str(copy / 'volumes') in line


@pytest.mark.tried('faults', 'a second training in one work directory', 'refused')
def test_a_second_training_beside_the_first(refused, train_a_step):
    with lock_folder('work'):
        assert 'another process trains in work' in refused()
    train_a_step('work')


@pytest.fixture
def trained(train_a_step):
    train_a_step('first')
    return lambda: torch.load('first/iter_1.pth', weights_only=False)


@pytest.mark.tried('checkpoints', 'NaN or infinite weights', 'refused, the first tensor named')
def test_weights_that_are_not_finite(trained, refused):
    checkpoint = trained()
    name = next(iter(checkpoint['state_dict']))
    checkpoint['state_dict'][name].view(-1)[0] = float('nan')
    torch.save(checkpoint, 'nan.pth')
    assert f'nan.pth: {name} has values that are not finite' in refused('nan.pth', tool='test')


@pytest.mark.tried(
    'checkpoints',
    'load_from that fits in part or not at all',
    'refused with counts, unless --allow-partial',
)
def test_weights_to_start_from_that_fit_in_part(trained, refused, run_tool, config, capfd):
    weights = trained()['state_dict']
    first, second, *_ = [name for name in weights if name.endswith('weight')]
    changed = {name: value for name, value in weights.items() if name != first}
    changed[second] = torch.zeros(3)
    changed['stranger'] = torch.zeros(1)
    for name, content in (('part.pth', changed), ('none.pth', {'other': torch.zeros(1)})):
        torch.save(dict(state_dict=content), name)
    message = refused('--cfg-options', 'load_from=part.pth')
    for part in (
        f'1 of the model are missing ({first})',
        '1 have no place (stranger)',
        f'1 have another shape ({second})',
        '--allow-partial',
    ):
        assert part in message
    loadable = [name for name in weights if not name.endswith('num_batches_tracked')]
    assert f'{len(loadable)} of the model are missing' in refused(
        '--cfg-options', 'load_from=none.pth'
    )
    options = ('--shrink', '--work-dir', 'work', '--cfg-options', 'train_cfg.max_iters=1')
    assert run_tool('train', config, '--allow-partial', *options, 'load_from=part.pth') == 0
    assert 'fit in part. Not loaded: 1 of the model' in capfd.readouterr().out
    assert (
        run_tool(
            'train',
            config,
            '--shrink',
            '--work-dir',
            'whole',
            '--cfg-options',
            'train_cfg.max_iters=1',
            'load_from=first/iter_1.pth',
        )
        == 0
    )


@pytest.mark.tried(
    'faults',
    '--out of a test in a place that cannot be written',
    'refused before the test; an old file stays',
)
def test_out_is_tried_before_the_test(trained, refused, tmp_path):
    (tmp_path / 'file').write_text('old')
    assert str(tmp_path) in refused('nowhere.pth', '--out', tmp_path, tool='test')
    assert 'file' in refused('nowhere.pth', '--out', tmp_path / 'file' / 'x.csv', tool='test')
    assert 'nowhere.pth' in refused('nowhere.pth', '--out', tmp_path / 'file', tool='test')
    assert (tmp_path / 'file').read_text() == 'old'
