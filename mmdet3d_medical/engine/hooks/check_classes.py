"""Compares a model's classes with those of the data before the first step."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmdet3d_medical.registry import HOOKS

from .plain_meta import parts_of


@HOOKS.register_module()
class CheckClassesHook(Hook):
    """Refuses data whose number of classes is not the ``num_classes`` of the detection head.

    It looks into wrapped models (FocalMix) and data sets (several sources). Data without any
    annotated scan may name other classes: they are not used.
    """

    def before_train(self, runner: Runner) -> None:
        """Compare with the training data."""
        check_classes(runner.model, runner.train_dataloader.dataset)

    def before_val(self, runner: Runner) -> None:
        """Compare with the validation data."""
        check_classes(runner.model, runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Compare with the test data."""
        check_classes(runner.model, runner.test_dataloader.dataset)


def check_classes(model: nn.Module, dataset: Any) -> None:
    """Compare a model with a data set.

    Raises:
        ValueError: Naming the head and both numbers.
    """
    for name, module in model.named_modules():
        count = getattr(module, 'num_classes', None)
        if name.rpartition('.')[-1] != 'bbox_head' or not isinstance(count, int):
            continue
        for part in parts_of(dataset):
            classes = (getattr(part, 'metainfo', None) or {}).get('classes')
            if classes is not None and len(classes) != count and _is_annotated(part):
                raise ValueError(
                    f'num_classes of {name} is {count}, but {getattr(part, "ann_file", "the data")}'
                    f' has {len(classes)} classes, {tuple(classes)}: change num_classes of the '
                    'model in the config'
                )


def _is_annotated(dataset: Any) -> bool:
    return any(
        dataset.get_data_info(number).get('annotated', True) for number in range(len(dataset))
    )
