"""A checkpoint that runs code when it is unpickled, or when its config is executed, runs none."""

from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmdet3d_medical.apis.checkpoint import _model_type, last_checkpoint, trained_checkpoint
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils import checkpoints
from mmdet3d_medical.utils.checkpoints import read_checkpoint, trust_checkpoints

CONFIGS = Path(__file__).parents[2] / 'configs'


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture(autouse=True)
def distrust():
    yield
    trust_checkpoints(False)


@pytest.fixture
def trace(tmp_path) -> Path:
    return tmp_path / 'code_ran'


@pytest.fixture
def malicious(tmp_path, trace) -> Path:
    path = tmp_path / 'malicious' / 'iter_2.pth'
    path.parent.mkdir()
    torch.save(
        dict(meta=dict(iter=2, epoch=0), state_dict={'a': torch.zeros(1)}, more=Touch(trace)), path
    )
    (path.parent / 'last_checkpoint').write_text(str(path))
    return path


@pytest.mark.tried(
    'checkpoints',
    'a pickle that calls a function, in every tool that reads one',
    'refused by name; nothing runs',
)
@pytest.mark.parametrize(
    'command',
    [
        'test {config} {path}',
        'train {config} --work-dir new --cfg-options load_from={path}',
        'train {config} --work-dir {folder} --resume',
        'train {config} --work-dir new --cfg-options model.init_cfg.type=Pretrained '
        'model.init_cfg.checkpoint={path}',
        'model_converters/focalmix_to_plain {path} out.pth',
        f'analysis_tools/diagnose_guesses {CONFIGS}/focalmix/retina3d_fpn_phantom.py {{path}}',
    ],
)
def test_nothing_in_it_runs(command, config, malicious, trace, run_tool, capfd):
    name, *args = command.format(config=config, path=malicious, folder=malicious.parent).split()
    shrink = [] if '/' in name else ['--shrink']
    assert run_tool(name, *shrink, *args) == 2
    error = capfd.readouterr().err
    (line,) = [line for line in error.splitlines() if line.startswith('error: ')]
    assert str(malicious) in line and 'pathlib' in line and '--trust-checkpoint' in line
    assert 'Traceback' not in error
    assert not trace.exists()


@pytest.mark.parametrize(
    'command', ['inflate_2d {config} {path} out.pth', 'monai_to_mmdet3d {path} out.pth']
)
def test_converters_of_others_weights_run_nothing(command, malicious, trace, run_tool, capfd):
    config = CONFIGS / 'retina3d' / 'retina3d_r50_inflated_luna16.py'
    name, *args = command.format(config=config, path=malicious).split()
    assert run_tool(f'model_converters/{name}', *args) == 2
    assert str(malicious) in capfd.readouterr().err
    assert not trace.exists()


@pytest.mark.tried(
    'checkpoints',
    'a work directory that holds a pickle that calls a function',
    'training beside it goes on; nothing runs',
)
def test_a_work_directory_that_holds_one(malicious, trace, train_a_step):
    train_a_step(malicious.parent)
    assert not trace.exists()


def test_trusted_on_request(config, malicious, trace, run_tool, capfd):
    assert run_tool('test', config, malicious, '--shrink', '--trust-checkpoint') == 2
    assert 'do not fit the model' in capfd.readouterr().err
    assert trace.exists()


@pytest.mark.tried(
    'checkpoints',
    'a stored config that runs code when executed, resumed from',
    'the config is ignored, training goes on',
)
@pytest.mark.parametrize('key', ['cfg', 'config'])
def test_a_stored_config_is_never_executed(key, config, trace, run_tool, tmp_path):
    work = tmp_path / 'run'
    options = ('--shrink', '--work-dir', work, '--cfg-options')
    assert run_tool('train', config, *options, 'train_cfg.max_iters=1') == 0
    checkpoint = torch.load(work / 'iter_1.pth', weights_only=False)
    checkpoint['meta'].pop('mmdet3d_medical')
    checkpoint['meta'][key] = (
        f'open({str(trace)!r}, "w").close()\nmodel = dict(type="DenseDetector3D")'
    )
    torch.save(checkpoint, work / 'iter_1.pth')
    assert run_tool('train', config, '--resume', *options, 'train_cfg.max_iters=2') == 0
    assert (work / 'iter_2.pth').is_file()
    assert not trace.exists()


def test_getattr_names_statistics_only(tmp_path):
    class Reach:
        def __reduce__(self):
            return getattr, (torch.Tensor, 'numpy')

    torch.save(dict(state_dict={}, more=Reach()), tmp_path / 'reach.pth')
    with pytest.raises(checkpoints.UntrustedCheckpointError, match='builtins.getattr'):
        read_checkpoint(tmp_path / 'reach.pth')


@pytest.mark.tried('checkpoints', 'addresses such as s3:// and torchvision://', 'refused')
def test_every_loader_of_mmengine_is_ours():
    loaders = set(CheckpointLoader._schemes.values())
    assert {loader.__module__ for loader in loaders} == {checkpoints.__name__}
    for address in ('torchvision://resnet50', 's3://bucket/weights.pth', 'mmcls://resnet'):
        with pytest.raises(ValueError, match='files and http'):
            CheckpointLoader.load_checkpoint(address)


def test_plain_data_says_what_weights_are_for(tmp_path, train_a_step):
    train_a_step(tmp_path / 'run')
    meta = read_checkpoint(tmp_path / 'run' / 'iter_1.pth')['meta']['mmdet3d_medical']
    assert meta.pop('version')
    assert meta == dict(model='DenseDetector3D', classes=['nodule'], spacing=[2.0] * 3, settings={})


def test_checkpoints_of_pretrained_backbones(small_detector, malicious, trace):
    cfg = small_detector()
    cfg['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint=str(malicious))
    with pytest.raises(checkpoints.UntrustedCheckpointError):
        MODELS.build(cfg).init_weights()
    assert not trace.exists()


def test_addresses_that_end_in_one_name_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(
        torch.hub,
        'download_url_to_file',
        lambda url, path, progress: torch.save(dict(state_dict={}, url=url), path),
    )
    for address in ('https://a.org/model.pth', 'https://b.org/model.pth'):
        assert CheckpointLoader.load_checkpoint(address)['url'] == address


ODD = {
    'no weights': dict(state_dict={}),
    'a list': dict(state_dict=[1]),
    'numbers': dict(state_dict={'a': 1}),
    'numbers as names': dict(state_dict={1: torch.zeros(1)}),
    'nothing': {},
}


@pytest.mark.tried(
    'checkpoints',
    'a state_dict that is empty, a list, numbers, or has no names',
    'refused by every tool that reads it',
)
@pytest.mark.parametrize('content', ODD.values(), ids=ODD)
@pytest.mark.parametrize(
    'command',
    [
        'test {config} {path} --shrink',
        'train {config} --shrink --work-dir new --cfg-options load_from={path}',
        'model_converters/focalmix_to_plain {path} out.pth --reverse',
        'model_converters/monai_to_mmdet3d {path} out.pth',
    ],
)
def test_what_holds_no_weights_is_refused(command, content, config, run_tool, tmp_path, capfd):
    path = tmp_path / 'odd.pth'
    torch.save(content, path)
    name, *args = command.format(config=config, path=path).split()
    assert run_tool(name, *args) == 2
    error = capfd.readouterr().err
    assert f'{path} is no checkpoint: expected tensors by name' in error
    assert 'Traceback' not in error and not Path('out.pth').exists()


@pytest.mark.tried(
    'checkpoints',
    'weights that say to be of a part that the model does not have',
    'refused as weights that do not fit',
)
def test_a_part_that_is_not_there_excuses_nothing(config, run_tool, tmp_path, capfd):
    for part in ('zzz', 5):
        path = tmp_path / 'part.pth'
        torch.save(dict(meta=dict(part=part), state_dict={'a': torch.zeros(1)}), path)
        assert run_tool('train', config, '--shrink', '--cfg-options', f'load_from={path}') == 2
        assert 'of the model are missing' in capfd.readouterr().err


@pytest.mark.parametrize('meta', [None, [], dict(iter='x', epoch=0), dict(iter=1)])
def test_what_no_training_left_is_not_resumed(meta, config, run_tool, train_a_step, capfd):
    train_a_step('first')
    content = torch.load('first/iter_1.pth', weights_only=False)
    content['meta'] = meta
    torch.save(content, 'first/iter_1.pth')
    capfd.readouterr()
    assert run_tool('train', config, '--shrink', '--work-dir', 'first', '--resume') == 2
    assert 'not how far a run was' in capfd.readouterr().err


@pytest.mark.parametrize('own', [5, dict(model=5), dict(model=['x']), 'x'])
@pytest.mark.parametrize(
    'cfg', ['model = x', "model = {'type': 1}", 'model = dict(a=1)', '(' * 5000, 'x = =']
)
def test_odd_meta_data_in_a_work_directory_is_no_error(own, cfg, tmp_path):
    for meta in (dict(cfg=cfg), dict(mmdet3d_medical=own)):
        torch.save(dict(meta=meta, state_dict={}), tmp_path / 'iter_1.pth')
        assert _model_type(tmp_path / 'iter_1.pth') is None


def test_a_note_of_the_last_checkpoint_that_is_no_text(tmp_path):
    (tmp_path / 'last_checkpoint').write_bytes(b'\x00\xff')
    assert last_checkpoint(tmp_path) is None and trained_checkpoint(tmp_path, 1) is None
