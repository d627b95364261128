"""Commands of a tutorial's page, made small, and scans to run them on."""

import re
import shlex
from pathlib import Path

import numpy as np
import SimpleITK as sitk

ROOT = Path(__file__).parents[2]
CONFIGS = 'configs/'  # as pages name the shipped ones
TOOLS = {
    'convert-volumes': 'dataset_converters/volumes',
    'make-splits': 'dataset_converters/make_splits',
    'check-dataset': 'analysis_tools/check_dataset',
    'train': 'train',
    'test': 'test',
    'eval-froc': 'analysis_tools/eval_froc',
    'draw-detections': 'analysis_tools/draw_detections',
    'cross-validate': 'cross_validate',
}
SIDE = 40  # voxels


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf'^```{language}\n(.*?)^```$', page, re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[list[str]]:
    """Subcommand and arguments of each command of a page."""
    lines = ''.join(blocks(page, 'bash')).replace('\\\n', ' ').splitlines()
    found = [shlex.split(line, comments=True) for line in lines]
    assert all(words[0] == 'mmdet3d-medical' for words in found)
    return [words[1:] for words in found]


def make_small(command: list[str], steps: str = '2') -> list[str]:
    """The command with fewer steps and folds, and a narrow detector.

    The steps stand in the place of 10000 and 40000.
    """
    name, *words = [re.sub('[14]0000', steps, word) for word in command]
    words = [f'{ROOT}/{word}' if word.startswith(CONFIGS) else word for word in words]
    if '--folds' in words:
        words[words.index('--folds') + 1] = '2'
    if name in ('train', 'test', 'cross-validate') and '--shrink' not in words:
        words.insert(1, '--shrink')
    if name == 'train' and not any('max_iters' in word for word in words):
        words += ['--cfg-options'] * ('--cfg-options' not in words)  # else they are the last ones
        words += [f'train_cfg.max_iters={steps}']
    return [name, *words]


def installed(config: str) -> str:
    """A page's config, whose bases are those of this checkout."""
    return config.replace('mmdet3d_medical::', f'{ROOT}/configs/')


def write_scans(number: int, seed: int, scans: str, masks: str | None = None) -> None:
    """NIfTI files of noise, a bright ball of 8 mm in each, and masks of the balls."""
    rng = np.random.default_rng(seed)
    for k in range(number):
        center = rng.integers(12, SIDE - 12, 3)
        ball = np.linalg.norm(np.indices((SIDE,) * 3).T - center, axis=-1).T < 4
        voxels = np.where(ball, 40, rng.normal(-850, 20, ball.shape)).astype(np.int16)
        for folder, values in ((scans, voxels), (masks, ball.astype(np.uint8))):
            if folder:
                Path(folder).mkdir(exist_ok=True)
                sitk.WriteImage(sitk.GetImageFromArray(values), f'{folder}/p{seed}{k}.nii.gz')
