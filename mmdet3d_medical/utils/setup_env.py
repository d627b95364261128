"""Fills the registries."""

import datetime
import warnings
from importlib import import_module

REGISTERING_PACKAGES = (
    'datasets',
    'engine',
    'evaluation',
    'models',
    'visualization.visualizer',
)


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import everything that registers something, so that configs can name it.

    Args:
        init_default_scope (bool): Whether to make ``mmdet3d_medical`` the scope in which types
            without a prefix are looked up. Defaults to True.
    """
    package = __name__.partition('.')[0]
    for name in REGISTERING_PACKAGES:
        import_module(f'{package}.{name}')
    if init_default_scope:
        _set_default_scope(package)


def _set_default_scope(scope: str) -> None:
    from mmengine.registry import DefaultScope

    current = DefaultScope.get_current_instance()
    if current is not None and current.scope_name == scope:
        return
    if current is not None:
        warnings.warn(
            f'The default scope was {current.scope_name!r} and is now {scope!r}. To keep it, call '
            '`register_all_modules(init_default_scope=False)`.',
            stacklevel=3,
        )
    # The scope created last is the current one, and an instance's name may be used only once.
    DefaultScope.get_instance(f'{scope}-{datetime.datetime.now()}', scope_name=scope)
