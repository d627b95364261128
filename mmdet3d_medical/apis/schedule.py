"""Keeps learning rate schedules and the length of training together."""

from mmengine.config import Config


def fit_schedule(cfg: Config, planned_iters: int) -> None:
    """Let schedules that were planned to end with training end with it again.

    A config states the end of its learning rate schedule beside ``max_iters``. Changing only
    ``train_cfg.max_iters`` on the command line would leave the rate high at the end of a shorter
    training, or at zero for the rest of a longer one.

    Args:
        cfg: The config after all changes; its ``param_scheduler`` is altered.
        planned_iters: ``train_cfg.max_iters`` as the config file has it.
    """
    actual = cfg.train_cfg.max_iters
    if actual == planned_iters:
        return
    scale = actual / planned_iters
    schedulers = cfg.get('param_scheduler') or []
    for scheduler in [schedulers] if isinstance(schedulers, dict) else schedulers:
        for key in ('begin', 'end'):
            if key in scheduler:
                scheduler[key] = round(scheduler[key] * scale)
