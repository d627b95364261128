"""Values of a config by dotted key, for commands that are started with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


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
    return [number for number, step in enumerate(dataset.get('pipeline', ()))
            if step['type'] == 'LoadCandidates']


def spell_options(options: Mapping[str, Any]) -> list[str]:
    """Options as ``--cfg-options`` takes them."""
    return [f'{key}={_spell(value)}' for key, value in options.items()]


def _spell(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f'[{",".join(map(_spell, value))}]'
    return str(value)
