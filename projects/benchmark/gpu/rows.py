"""Rows of a report: what was measured, or why it could not be."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

Row = dict[str, Any]  # by the names of columns; ``failed`` says why there is no number
KEY = '_key'  # a later row of a part with the same key takes the place of an earlier one
PRECISIONS = dict(float32=None, float16=torch.float16, bfloat16=torch.bfloat16)


@dataclass(frozen=True)
class Settings:
    """How parts are measured.

    Attributes:
        device: 'cpu' or 'cuda'.
        shrink: Tiny sizes and one repetition, to see that everything runs.
    """

    device: str
    shrink: bool

    @property
    def on_gpu(self) -> bool:
        return self.device == 'cuda'

    @property
    def repeat(self) -> int:
        """How often each call is timed."""
        return 1 if self.shrink else 7

    @property
    def warm_up(self) -> int:
        """Calls before the first is timed."""
        return 1 if self.shrink else 3

    def precision(self, name: str) -> Callable[[], AbstractContextManager]:
        """What gives the context of forward passes in one of ``PRECISIONS``."""
        kind = PRECISIONS[name]
        return nullcontext if kind is None else lambda: torch.autocast(self.device, kind)


def attempt(what: Row, measure: Callable[[], Row]) -> Row:
    """``what`` with what was measured of it, or with the reason why it could not be."""
    try:
        return {**what, **measure()}
    except Exception as error:  # whatever a library may raise is a row, not the end of the report
        return {**what, 'failed': reason(error)}
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def reason(error: BaseException) -> str:
    """An error in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f'{type(error).__name__}: {lines[0][:300] if lines else ""}'
