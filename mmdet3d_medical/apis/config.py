"""From a config file and command line choices to the config that a runner takes."""

from collections.abc import Sequence
from pathlib import Path

import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device

from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import check_writable
from mmdet3d_medical.utils.shipped import SHIPPED

from .checkpoint import last_checkpoint
from .config_checks import LOADERS, check_keys, check_options, check_values
from .options import datasets_in
from .schedule import fit_schedule
from .semi import combine, read_config, run_name
from .shrink import shrink


def load_config(
    path: str,
    *,
    work_dir: str | None = None,
    options: dict | None = None,
    semi: Sequence[str] = (),
    small: bool = False,
    launcher: str = 'none',
) -> Config:
    """Load a config as the command line asks for it.

    Args:
        path (str): Config file.
        work_dir (str, optional): Where results go. Defaults to the config's ``work_dir``, and
            without one to ``work_dirs/<name of the config>``.
        options (dict, optional): Values by dotted key, set last. ``train_cfg.max_iters`` also
            fits the learning rate schedule and ramp-ups, see :func:`fit_schedule`.
        semi (Sequence[str]): Fragments that make a detector's config semi-supervised, see
            :func:`.semi.combine`.
        small (bool): Whether to make patches, batches and widths small, see :func:`shrink`.
        launcher (str): ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        UsageError: If there is no such file, it cannot be read as a config, an option or a key
            of it is misspelled, or a number is one that nothing can work with.
    """
    path = find_config(path)
    cfg = read_config(path)
    if semi:
        cfg = combine(cfg, semi)
    if small:
        cfg = shrink(cfg)
    options = options or {}
    check_keys(cfg)
    check_options(cfg, options)
    iters = options.get('train_cfg.max_iters')
    if isinstance(iters, int) and iters > 0 and 'max_iters' in (cfg.get('train_cfg') or {}):
        fit_schedule(cfg, iters)
    _merge(cfg, options)
    set_data_root(cfg)
    check_values(cfg)
    cfg.work_dir = work_dir or cfg.get('work_dir') or str(Path('work_dirs') / run_name(path, semi))
    set_launcher(cfg, launcher)
    return cfg


def find_config(path: str) -> str:
    """A config file, or the one of that name among those that come with this package.

    Args:
        path (str): ``configs/retina3d/...`` and ``retina3d/...`` are found from any folder.

    Raises:
        UsageError: If there is neither.
    """
    places = Path(path), SHIPPED / path, SHIPPED / 'configs' / path
    for place in places:
        if place.is_file():
            return str(place)
    raise UsageError(
        f'There is no config {path} (looked in {Path.cwd()}, and among the configs that come '
        'with this package, such as configs/retina3d/retina3d_fpn_phantom.py)'
    )


def _merge(cfg: Config, options: dict) -> None:
    try:
        cfg.merge_from_dict(options)
    except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
        raise UsageError(
            f'--cfg-options {", ".join(options)}: does not fit {cfg.filename}: {error}'
        ) from error


def set_data_root(cfg: Config) -> None:
    """Give the config's own ``data_root`` to the data sets whose ``data_root`` is ``None``.

    So a config that inherits from ``_base_/datasets/own_data.py`` names its folder once.

    Raises:
        UsageError: If there are such data sets and the config has no ``data_root``.
    """
    for loader in LOADERS:
        for key, dataset in datasets_in(cfg.get(loader), loader):
            if dataset['data_root'] is not None:
                continue
            if not isinstance(cfg.get('data_root'), str):
                raise UsageError(
                    f'{cfg.filename}: {key} has no data_root, and neither has the config: say '
                    "where the converted data are, e.g. data_root = 'data/mine/'"
                )
            dataset['data_root'] = cfg.data_root


def set_launcher(cfg: Config, launcher: str) -> None:
    """Set how processes are launched, and let them talk over gloo where there is no accelerator.

    mmengine itself starts several processes on accelerators only.
    """
    cfg.launcher = launcher
    if launcher == 'pytorch' and get_device() == 'cpu':
        if not dist.is_initialized():
            dist.init_process_group('gloo')
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )


def set_resume(cfg: Config) -> bool:
    """Continue from the last checkpoint in the work directory, if it has one.

    Returns:
        bool: Whether there is one.
    """
    checkpoint = last_checkpoint(cfg.work_dir)
    cfg.resume = checkpoint is not None
    if cfg.resume:
        cfg.load_from = str(checkpoint)
    return cfg.resume


def set_seed(cfg: Config, seed: int) -> None:
    """Seed the runner, FocalMix, and the training samplers and data sets that have a seed."""
    cfg.merge_from_dict({'randomness.seed': seed})
    _replace(cfg.get('train_dataloader', {}), 'seed', seed)
    if cfg.get('model', {}).get('type', '').rpartition('.')[-1] == 'FocalMixDetector':
        cfg.model.seed = seed  # of its views and MixUps


def _replace(node, key: str, value) -> None:
    if isinstance(node, dict):
        if key in node:
            node[key] = value
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for item in node:
            _replace(item, key, value)


def set_amp(cfg: Config) -> None:
    """Train in mixed precision: float16 with loss scaling, on a CPU bfloat16 without."""
    if get_device() == 'cpu':
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
    else:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def set_test_data(cfg: Config, path: str) -> None:
    """Test on all scans of an index, without a list of scans.

    Args:
        cfg: Altered in place: ``test_dataloader``.
        path: The index, or its folder, where it is called ``index.json``.

    Raises:
        UsageError: If there is no such file or folder, or the config has no data set to test on.
    """
    place = Path(path)
    index = place / 'index.json' if place.is_dir() else place
    if not index.is_file():
        raise UsageError(
            f'--data {path}: expected the index.json of converted scans, or its folder, found '
            f'{"no index.json in it" if place.is_dir() else "no such file"}: convert the scans '
            'with mmdet3d-medical convert-volumes or convert-dicom'
        )
    datasets = [dataset for _, dataset in datasets_in(cfg.get('test_dataloader'), 'test')]
    if not datasets:
        raise UsageError(
            f'--data {path}: {cfg.filename} has no data set with a data_root in test_dataloader'
        )
    for dataset in datasets:
        dataset.update(data_root=str(index.parent), ann_file=index.name, split=None, subsets=None)


def set_marks_file(cfg: Config, path: str, min_score: float | None = None) -> None:
    """Let the test write its marks, one row for each detection, to a CSV file.

    Args:
        cfg: Altered in place: ``test_evaluator``.
        path: The file.
        min_score: Lowest score of a mark to write. By default all are written.

    Raises:
        UsageError: If the config has no ``FROCMetric`` to write them.
        OSError: If the file cannot be written, or is a folder.
    """
    check_writable(path)
    evaluator = cfg.get('test_evaluator') or []
    metrics = [evaluator] if isinstance(evaluator, dict) else evaluator
    writers = [metric for metric in metrics if metric.type.rpartition('.')[-1] == 'FROCMetric']
    if not writers:
        raise UsageError(
            f'--out {path}: marks are written by FROCMetric, but `test_evaluator` of '
            f'{cfg.filename} has none. Add dict(type="FROCMetric").'
        )
    for metric in writers:
        metric.out = path
        if min_score is not None:
            metric.out_min_score = min_score
