"""Model folders: ``model.safetensors``, ``model.json`` and ``README.md``. No pickle, no code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import as_json, staged

from .schema import ModelFacts

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, FACTS, CARD = 'model.safetensors', 'model.json', 'README.md'
SHIPPED = Path(__file__).parent / 'shipped'


@dataclass(frozen=True)
class ModelFolder:
    """A model folder whose ``model.json`` was read and found right."""

    path: Path
    facts: ModelFacts

    def weights(self) -> dict[str, Tensor]:
        """Weights by name.

        Raises:
            UsageError: If the file is missing, or not the one that ``model.json`` was written
                with.
        """
        from safetensors.torch import load

        content = _read(self.path / WEIGHTS)
        if hashlib.sha256(content).hexdigest() != self.facts.sha256:
            raise UsageError(
                f'{self.path / WEIGHTS}: its SHA-256 is not that in {FACTS}: the file is damaged, '
                'or of another model. Copy or pack the folder again'
            )
        return load(content)


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob(f'*/{FACTS}'))


def find_model(name: str | Path) -> Path:
    """Folder of a shipped model, by its name, or the folder itself.

    Raises:
        UsageError: If it is neither.
    """
    path = Path(name)
    if (path / FACTS).is_file():
        return path
    if str(name) in shipped_models():
        return SHIPPED / str(name)
    known = ', '.join(shipped_models())
    if path.is_dir():
        raise UsageError(f'{path} has no {FACTS}: `mmdet3d-medical pack` makes a model folder')
    raise UsageError(f'{name} is neither a model folder nor one of the shipped models: {known}')


def read_model(name: str | Path) -> ModelFolder:
    """Read what a model is.

    Args:
        name: As :func:`find_model`.

    Raises:
        UsageError: If there is none, or ``model.json`` is not as it should be; the message names
            the file and what is wrong.
    """
    path = find_model(name)
    file = path / FACTS
    try:
        facts = ModelFacts.model_validate_json(_read(file))
    except ValidationError as error:
        first = error.errors()[0]
        where = '.'.join(map(str, first['loc'])) or 'the file'
        raise UsageError(f'{file}: {where}: {first["msg"]}') from None
    return ModelFolder(path, facts)


def write_model(
    folder: str | Path, facts: Mapping, weights: Mapping[str, Tensor], card: str
) -> ModelFolder:
    """Write a model folder, whole or not at all.

    Args:
        folder: Made if missing.
        facts: Fields of :class:`ModelFacts` without ``sha256``.
        weights: By name.
        card: Text of ``README.md``.

    Raises:
        UsageError: If facts are not as they should be.
    """
    from safetensors.torch import save

    content = save({name: value.detach().cpu().contiguous() for name, value in weights.items()})
    try:
        facts = ModelFacts(**facts, sha256=hashlib.sha256(content).hexdigest())
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f'{".".join(map(str, first["loc"]))}: {first["msg"]}') from None
    with staged(folder) as scratch:
        (scratch / WEIGHTS).write_bytes(content)
        (scratch / FACTS).write_text(as_json(json.loads(facts.model_dump_json())))
        (scratch / CARD).write_text(card, encoding='utf-8')
    return ModelFolder(Path(folder), facts)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f'{path}: {error.strerror}, a model folder needs it') from None
