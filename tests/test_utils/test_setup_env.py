import pytest
from mmengine.registry import DefaultScope

from mmdet3d_medical import registry
from mmdet3d_medical.utils import register_all_modules


@pytest.fixture
def scopes(monkeypatch):
    """The scopes of this process, given back as they were."""
    kept = dict(DefaultScope._instance_dict)
    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(kept)


def test_registries_are_filled(scopes):
    register_all_modules(init_default_scope=False)
    assert 'ResNet3D' in registry.MODELS.module_dict
    assert 'LUNA16Dataset' in registry.DATASETS.module_dict
    assert 'LoadVolume' in registry.TRANSFORMS.module_dict
    assert 'NonFiniteLossHook' in registry.HOOKS.module_dict
    assert DefaultScope.get_current_instance() is None


def test_default_scope_is_ours_once(scopes):
    register_all_modules()
    first = DefaultScope.get_current_instance()
    assert first.scope_name == 'mmdet3d_medical'
    register_all_modules()
    assert DefaultScope.get_current_instance() is first


def test_another_default_scope_is_replaced_with_a_warning(scopes):
    DefaultScope.get_instance('other', scope_name='mmdet')
    with pytest.warns(UserWarning, match="was 'mmdet' and is now 'mmdet3d_medical'"):
        register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'mmdet3d_medical'


def test_mmengine_looks_our_names_up_by_scope(scopes):
    from mmengine.registry import MODELS

    assert MODELS.get('mmdet3d_medical.ResNet3D') is registry.MODELS.get('ResNet3D')
