"""What ends a tool with a message, and what with a traceback."""

import pytest
import torch

from mmdet3d_medical.cli.errors import run_tool
from mmdet3d_medical.models.losses import SoftFocalLoss
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils.errors import UsageError


def fail(error: Exception):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    'error',
    [
        UsageError('wrong'),
        FileNotFoundError('gone'),
        FileExistsError('there'),
        NotADirectoryError('a file'),
    ],
)
def test_what_the_user_can_mend_is_a_message(error, capsys):
    with pytest.raises(SystemExit, match='2'):
        run_tool(fail(error))
    assert capsys.readouterr().err == f'error: {error}\n'


def test_a_refusal_of_the_package_is_a_message(capsys):
    with pytest.raises(SystemExit, match='2'):
        run_tool(lambda: SoftFocalLoss(gamma=0.5))
    assert capsys.readouterr().err.startswith('error: gamma must be')


def test_an_unknown_name_in_a_config_is_a_message(capsys):
    with pytest.raises(SystemExit, match='2'):
        run_tool(lambda: MODELS.build(dict(type='ResNt3D')))
    assert capsys.readouterr().err.startswith('error: ResNt3D is not in the mmdet3d_medical::')


@pytest.mark.parametrize(
    'bug', [fail(ValueError('bug')), fail(KeyError('bug')), lambda: torch.zeros(2, 3).view(5)]
)
def test_a_bug_keeps_its_traceback(bug):
    with pytest.raises((ValueError, KeyError, RuntimeError)):
        run_tool(bug)
