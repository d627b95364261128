"""One whole phantom scan from a seed and its number."""

import uuid
from dataclasses import dataclass, replace

import numpy as np

from mmdet3d_medical.structures import VolumeGeometry

from .anatomy import build_chest
from .findings import Finding, add_findings
from .nodules import Nodule, add_nodules
from .scanner import Scanner
from .settings import PhantomSettings
from .vessels import add_airways, add_vessels


@dataclass(frozen=True)
class PhantomScan:
    """A scan and the truth about it.

    Args:
        uid: Series uid.
        volume: HU (D, H, W), int16.
        lungs: Labels (D, H, W), uint8: 3 and 4 the left and right lung, 5 the trachea.
        geometry: Geometry of both.
        nodules: Nodules, with ``center`` in the world, (x, y, z) mm.
        findings: Findings that are no nodules, likewise.
    """

    uid: str
    volume: np.ndarray
    lungs: np.ndarray
    geometry: VolumeGeometry
    nodules: list[Nodule]
    findings: list[Finding]


def scan_uid(seed: int, index: int) -> str:
    """Series uid of a scan: a DICOM uid of the kind made from a UUID (root 2.25)."""
    number = np.random.default_rng([seed, index]).bytes(16)
    return f'2.25.{uuid.UUID(bytes=number, version=4).int}'


def make_scan(settings: PhantomSettings, seed: int, index: int) -> PhantomScan:
    """Make scan ``index`` of the data set ``seed``; it depends on nothing else.

    Args:
        settings: The data set's settings.
        seed: Seed of the data set.
        index: Number of the scan, from 0.
    """
    streams = np.random.default_rng([seed, index]).spawn(6)
    scanner = Scanner.draw(settings, streams[0])
    chest = build_chest(scanner.grid, settings, streams[1])
    trees = add_vessels(chest, settings, streams[2])
    add_airways(chest, streams[2])
    nodules = add_nodules(chest, trees, settings, streams[3])
    findings = add_findings(chest, trees, nodules, settings, streams[4])
    return PhantomScan(
        uid=scan_uid(seed, index),
        volume=scanner.acquire(chest.hu, streams[5]),
        lungs=scanner.store(chest.labels),
        geometry=scanner.geometry,
        nodules=[replace(n, center=scanner.to_world(n.center)) for n in nodules],
        findings=[replace(f, center=scanner.to_world(f.center)) for f in findings],
    )
