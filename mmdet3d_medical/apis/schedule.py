"""Keeps what is scheduled by iterations and the length of training together."""

from mmengine.config import Config

SHORTEST = 2  # iterations: a warm-up over fewer would leave the rate at its start for good
OF_SCHEDULERS = ('begin', 'end', 'milestones')
OF_HOOKS = ('rampup_begin', 'rampup_iters')


def fit_schedule(cfg: Config, iters: int) -> None:
    """Stretch or shorten the schedules of a config to another length of training.

    A config states the end of its learning rate schedule beside ``max_iters``. Changing only
    ``train_cfg.max_iters`` would leave the rate high at the end of a shorter training, or at zero
    for the rest of a longer one. ``begin``, ``end`` and ``milestones`` of every scheduler are
    scaled; one that shrinks below two iterations is dropped, and the next begins in its place. So
    are ``rampup_begin`` and ``rampup_iters`` of hooks: the loss of unlabeled patches would
    otherwise not reach its weight in a shorter training.

    Args:
        cfg: Altered in place: ``param_scheduler``, ``custom_hooks`` and ``train_cfg.max_iters``.
        iters: Iterations to train.
    """
    scale = iters / cfg.train_cfg.max_iters
    if scale == 1:
        return
    cfg.train_cfg.max_iters = iters
    _scale(cfg.get('custom_hooks') or [], OF_HOOKS, scale)
    schedulers = cfg.get('param_scheduler') or []
    if schedulers:
        schedulers = [schedulers] if isinstance(schedulers, dict) else schedulers
        _scale(schedulers, OF_SCHEDULERS, scale)
        cfg.param_scheduler = _without_short_ones(schedulers)


def _scale(parts: list[dict], keys: tuple[str, ...], scale: float) -> None:
    for part in parts:
        for key in keys:
            if key in part:
                value = part[key]
                several = isinstance(value, (list, tuple))
                part[key] = [round(v * scale) for v in value] if several else round(value * scale)


def _without_short_ones(schedulers: list[dict]) -> list[dict]:
    kept, begin = [], None
    for scheduler in schedulers:
        if 'begin' in scheduler and begin is not None:
            scheduler['begin'], begin = begin, None
        span = scheduler.get('end', float('inf')) - scheduler.get('begin', 0)
        if span >= SHORTEST:
            kept.append(scheduler)
        else:
            begin = scheduler.get('begin', 0)
    return kept
