"""What ``mmdet3d-medical contact-sheet`` does."""

from argparse import Namespace
from collections import defaultdict
from pathlib import Path

import matplotlib
import numpy as np
import SimpleITK as sitk  # noqa: N813
from PIL import Image

from mmdet3d_medical.evaluation.marks import read_findings
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import replacing

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

LUNG, SOFT_TISSUE = (-1200, 300), (-160, 240)  # HU windows
REACH = 20  # mm around a lesion in its close-up


def read_lesions(path: Path) -> dict[str, list[tuple[np.ndarray, float]]]:
    """World center (x, y, z) and diameter in mm of the lesions of every scan."""
    lesions, found = defaultdict(list), read_findings(path)
    for scan_id, center, diameter in zip(
        found.scan_ids, found.centers, found.diameters, strict=True
    ):
        lesions[scan_id].append((center, diameter))
    return lesions


def read_scan(path: Path) -> tuple[np.ndarray, VolumeGeometry]:
    image = sitk.ReadImage(str(path))
    return sitk.GetArrayFromImage(image), VolumeGeometry.from_sitk(image)


def show(ax, plane: np.ndarray, window: tuple[int, int], aspect: float = 1.0) -> None:
    ax.imshow(plane, cmap='gray', vmin=window[0], vmax=window[1], aspect=aspect)


def show_scan(axes, path: Path, lesions: list) -> None:
    """The axial slice of the largest nodule in two windows, a coronal and a sagittal one."""
    volume, geometry = read_scan(path)
    center = np.array(volume.shape) // 2
    marked = sorted(lesions, key=lambda lesion: -lesion[1])[:1]
    for point, diameter in marked:
        z, y, x = geometry.world_to_index(point[None])[0]
        center[0] = round(z)
        radius = diameter / 2 / geometry.spacing[0] + 2
        axes[0].add_patch(plt.Circle((x, y), radius, fill=False, color='red', linewidth=0.8))
    thick = geometry.spacing[2] / geometry.spacing[0]
    show(axes[0], volume[center[0]], LUNG)
    show(axes[1], volume[center[0]], SOFT_TISSUE)
    show(axes[2], volume[::-1, center[1]], LUNG, thick)
    show(axes[3], volume[::-1, :, center[2] // 2], LUNG, thick)


def show_lesion(ax, path: Path, center: np.ndarray, diameter: float) -> None:
    """The axial slice through a lesion, `REACH` mm to each side."""
    volume, geometry = read_scan(path)
    z, y, x = np.rint(geometry.world_to_index(center[None])[0]).astype(int)
    reach = round(REACH / geometry.spacing[0])
    padded = np.pad(volume[np.clip(z, 0, len(volume) - 1)], reach, mode='edge')
    show(ax, padded[y : y + 2 * reach + 1, x : x + 2 * reach + 1], LUNG)
    ax.set_title(f'{diameter:.1f} mm' if diameter > 0 else 'finding', fontsize=7, pad=2)


def without_nodules(findings: dict, nodules: dict) -> dict:
    """Excluded findings whose center lies in no nodule."""

    def outside(uid, center):
        return all(np.linalg.norm(center - c) > d / 2 for c, d in nodules.get(uid, []))

    return {uid: [f for f in some if outside(uid, f[0])] for uid, some in findings.items()}


def draw_sheet(data: Path, scans: int, lesions: int, findings: int) -> plt.Figure:
    """One row per scan, then close-ups of nodules and of findings, twelve in a row."""
    paths = {path.stem: path for path in sorted(data.glob('subset*/*.mhd'))}
    nodules = read_lesions(data / 'annotations.csv')
    others = without_nodules(read_lesions(data / 'annotations_excluded.csv'), nodules)
    close = [(uid, *n) for uid in paths for n in nodules.get(uid, [])][:lesions]
    close += [(uid, *f) for uid in paths for f in others.get(uid, [])[:2]][:findings]
    chosen = sorted(paths, key=lambda uid: (uid not in nodules, uid))[:scans]
    rows = -(-len(close) // 12)
    figure = plt.figure(figsize=(10, 2.35 * scans + 0.95 * rows))
    top, bottom = figure.subfigures(2, height_ratios=[2.35 * scans, 0.95 * max(rows, 1)])
    for axes, uid in zip(top.subplots(scans, 4, squeeze=False), chosen, strict=False):
        show_scan(axes, paths[uid], nodules.get(uid, []))
    for ax, (uid, center, diameter) in zip(
        bottom.subplots(max(rows, 1), 12).flat, close, strict=False
    ):
        show_lesion(ax, paths[uid], center, diameter)
    for part in (top, bottom):
        part.subplots_adjust(
            0.005,
            0.005,
            0.995,
            0.94 if part is bottom else 0.995,
            0.03,
            0.3 if part is bottom else 0.05,
        )
        for ax in part.axes:
            ax.axis('off')
    return figure


def few_grays(count: int = 48) -> Image.Image:
    """A palette of grays and the marks' red: noise does not compress, fewer grays do."""
    palette = Image.new('P', (1, 1))
    grays = np.linspace(0, 255, count).astype(int).repeat(3).tolist()
    palette.putpalette([*grays, 255, 0, 0])
    return palette


def main(args: Namespace) -> None:
    if not (args.data / 'annotations.csv').exists():
        raise UsageError(f'{args.data} has no annotations.csv: expected LUNA16 layout')
    figure = draw_sheet(args.data, args.scans, args.lesions, args.findings)
    figure.set_dpi(100)
    figure.canvas.draw()
    sheet = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert('RGB')
    sheet = sheet.quantize(palette=few_grays(), dither=Image.Dither.NONE)
    with replacing(args.out) as file:
        sheet.save(file, optimize=True)
    print(f'{args.out}: {sheet.width} x {sheet.height} pixels')
