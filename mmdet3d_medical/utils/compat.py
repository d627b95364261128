"""Makes mmengine, mmcv and mmdet usable as plain pip installs them."""

import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import ModuleType

# Maintained distribution -> the ones that install the same module but are no longer maintained.
DISTRIBUTIONS = {
    'onedl-mmengine': ('mmengine', 'mmengine-lite'),
    'onedl-mmcv': ('mmcv', 'mmcv-full', 'mmcv-lite'),
    'onedl-mmdetection': ('mmdet',),
}


class MissingOps(ModuleType):
    """Stands in for ``mmcv._ext``: has every operator, and none of them works.

    ``mmcv.ops`` looks its operators up when it is imported, ``mmdet.models`` imports ``mmcv.ops``,
    and nothing in this package calls one. So looking up must succeed and only calling may fail.

    Args:
        name (str): Full name of the module it stands in for.
    """

    def __init__(self, name: str):
        super().__init__(name, self.__doc__)
        # `pkgutil.find_loader`, by which mmcv looks for its operators, refuses a module without.
        self.__spec__ = ModuleSpec(name, loader=None)

    def __getattr__(self, op: str) -> Callable:
        if op.startswith('__'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {op!r}')

        def missing(*args, **kwargs):
            raise ImportError(
                f'mmcv was installed without compiled operators, so `{op}` cannot run. '
                'mmdet3d_medical never calls it; if your own code does, build onedl-mmcv with '
                'its operators: `pip install --no-build-isolation --force-reinstall --no-deps '
                '--no-binary onedl-mmcv onedl-mmcv` (20 minutes or more).'
            )

        return missing


def is_distributed(distribution: str) -> bool:
    """Whether pip knows the distribution to be installed."""
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def check_distributions() -> None:
    """Check that mmengine, mmcv and mmdet come from their maintained distributions.

    Raises:
        ImportError: If a maintained distribution is missing or an old one is installed, which
            overwrites the files of the new one. Says what to uninstall and install.
    """
    old = [name for names in DISTRIBUTIONS.values() for name in names if is_distributed(name)]
    missing = [name for name in DISTRIBUTIONS if not is_distributed(name)]
    if old:
        raise ImportError(
            f'Found {", ".join(old)}: no longer maintained, cannot resume a checkpoint with '
            f'torch >= 2.6, and in the place of {", ".join(DISTRIBUTIONS)}, which have the same '
            f'import names. Run `pip uninstall -y {" ".join(old)}`, then `pip install '
            f'--force-reinstall --no-deps {" ".join(DISTRIBUTIONS)}`.'
        )
    if missing:
        raise ImportError(f'{", ".join(missing)} not found. Run `pip install {" ".join(missing)}`.')


def stand_in_for_missing_ops() -> None:
    """Register :class:`MissingOps` as ``mmcv._ext`` unless mmcv has its compiled operators.

    mmcv itself is not imported, which takes a second.
    """
    mmcv = sys.modules.get('mmcv')
    folders = mmcv.__path__ if mmcv else find_spec('mmcv').submodule_search_locations
    marked_absent = sys.modules.get('mmcv._ext', ...) is None
    if marked_absent or PathFinder.find_spec('mmcv._ext', folders) is None:
        ops = sys.modules['mmcv._ext'] = MissingOps('mmcv._ext')
        _when_imported('mmcv', lambda: setattr(sys.modules['mmcv'], '_ext', ops))


def _when_imported(module: str, then: Callable[[], None]) -> None:
    """Call ``then()`` now if the module is imported, else as soon as it is."""
    if module in sys.modules:
        then()
    else:
        sys.meta_path.insert(0, _WhenImported(module, then))


class _WhenImported(MetaPathFinder):
    """Calls ``then()`` once, when ``module`` has been imported."""

    def __init__(self, module: str, then: Callable[[], None]):
        self.module, self.then = module, then

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        if name != self.module:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_then(module: ModuleType) -> None:
            execute(module)
            self.then()

        spec.loader.exec_module = execute_and_then
        return spec


def join_openmmlab(package: str) -> None:
    """Make the package one that mmengine knows, as soon as mmengine is imported.

    From then on ``_base_ = '<package>::retina3d/...'`` finds its configs, and a registry that is
    asked for a type in the package's scope imports its modules. mmengine is not imported for
    it: with torch that takes a second, which ``--help`` should not.

    Args:
        package (str): Name of the package, which is its scope and its distribution as well.
    """

    def register() -> None:
        from mmengine.config.utils import MODULE2PACKAGE

        MODULE2PACKAGE[package] = package

    check_distributions()
    stand_in_for_missing_ops()
    _when_imported('mmengine', register)
