"""Values of a config by dotted key, for commands that are started with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmdet3d_medical.utils.errors import UsageError

UNSPOKEN = ',()[]{}\'"'  # which mmengine's DictAction deletes, or takes for lists


def datasets_in(node: Any, key: str) -> Iterator[tuple[str, Mapping]]:
    """Dotted key and config of each data set in a config."""
    if isinstance(node, Mapping) and 'data_root' in node:
        yield key, node
    elif isinstance(node, (Mapping, list, tuple)):
        parts = node.items() if isinstance(node, Mapping) else enumerate(node)
        for name, part in parts:
            yield from datasets_in(part, f'{key}.{name}')


def candidate_steps(dataset: Mapping[str, Any]) -> list[int]:
    """Positions of ``LoadCandidates`` in the pipeline of a data set."""
    return [
        number
        for number, step in enumerate(dataset.get('pipeline') or ())
        if step['type'].rpartition('.')[-1] == 'LoadCandidates'
    ]


def spell_options(options: Mapping[str, Any]) -> list[str]:
    """Options as ``--cfg-options`` takes them.

    Raises:
        UsageError: For text that it would read as something else.
    """
    return [f'{key}={_spell(value)}' for key, value in options.items()]


def _spell(value: Any, unspoken: str = UNSPOKEN) -> str:
    if isinstance(value, (list, tuple)):
        return f'[{",".join(_spell(part, " " + UNSPOKEN) for part in value)}]'
    text = str(value)
    if isinstance(value, (str, Path)) and set(text) & set(unspoken):
        raise UsageError(
            f'{text!r} cannot be handed on to train.py and test.py, as --cfg-options '
            'takes no commas, brackets or quotes, and no blanks in lists: name it without them'
        )
    return text
