"""Scans of an index in little memory."""

from __future__ import annotations

import pickle
from array import array
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np


class PackedScans(Sequence):
    """Scans, read-only, each kept as bytes until it is asked for.

    Takes a sixth of the memory of dicts, none of which Python's garbage collector looks through
    again and again. An item is a new dict each time: what is changed in it is not kept here.

    Attributes:
        data: (B,) uint8, the pickled scans one after another.
        stops: (N,) int64, where in it each of them ends.

    ``data`` and ``stops`` are what mmengine's ``BaseDataset`` keeps of a list, so a data set of all
    scans shares them.
    """

    def __init__(self, data: np.ndarray, stops: np.ndarray) -> None:
        self.data, self.stops = data, stops
        for part in (data, stops):
            part.flags.writeable = False

    @classmethod
    def of(cls, scans: Iterable[dict]) -> PackedScans:
        """Pack scans; those that are packed already stay as they are."""
        if isinstance(scans, cls):
            return scans
        packer = Packer()
        for scan in scans:
            packer.add(scan)
        return packer.scans()

    def __len__(self) -> int:
        """Number of scans."""
        return len(self.stops)

    @overload
    def __getitem__(self, item: int) -> dict: ...
    @overload
    def __getitem__(self, item: slice) -> PackedScans: ...
    def __getitem__(self, item):
        """A scan by its position, or packed scans for a slice."""
        if isinstance(item, slice):
            return self.take(range(len(self))[item])
        return pickle.loads(self._bytes(range(len(self))[item]))

    def take(self, positions: Sequence[int]) -> PackedScans:
        """The scans at these positions, in this order; all of them in theirs share their bytes."""
        if positions == range(len(self)):
            return self
        parts = [self._bytes(position) for position in positions]
        stops = np.cumsum([len(part) for part in parts], dtype=np.int64)
        return PackedScans(np.frombuffer(b''.join(parts), np.uint8), stops)

    def _bytes(self, position: int) -> memoryview:
        start = self.stops[position - 1] if position else 0
        return self.data[start : self.stops[position]].data


class Packer:
    """Packs scans that come one by one."""

    def __init__(self) -> None:
        self._data, self._stops = bytearray(), array('q')

    def add(self, scan: dict) -> None:
        self._data += pickle.dumps(scan, pickle.HIGHEST_PROTOCOL)
        self._stops.append(len(self._data))

    def scans(self) -> PackedScans:
        """The scans so far; none can be added any more."""
        return PackedScans(
            np.frombuffer(self._data, np.uint8), np.frombuffer(self._stops, np.int64)
        )
