"""Series of folders, where headers do not tell which images belong together."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from ...scan_ids import FORBIDDEN, refusal
from .headers import CommonHeader, ImageHeader

OPTION = '--series-by-folder'


def take_folders(headers: Sequence[ImageHeader], root: str | Path) -> list[ImageHeader]:
    """Make each folder one series where series ids are blank or are in several folders.

    Such a series, and its study, get the folder's path below ``root`` as their id, with ``_`` for
    what parts folders. Series with an id of their own that lie in one folder stay as they are.

    Args:
        headers: Of all images; where there is no series id, it is empty.
        root: Folder that was searched.

    Raises:
        ValueError: If a folder has no name for a scan, or two ids would be the same.
    """
    places: dict[str, set[str]] = {}
    for header in headers:
        places.setdefault(header.common.series, set()).add(folder_of(header))
    own = {series for series, folders in places.items() if series and len(folders) == 1}
    folders = {folder for series, found in places.items() if series not in own for folder in found}
    names = _name_folders(folders, root, own)
    shared: dict[CommonHeader, CommonHeader] = {}  # of many images, as before
    taken = []
    for header in headers:
        if header.common.series not in own:
            name = names[folder_of(header)]
            common = header.common._replace(series=name, study=name)
            header = header._replace(common=shared.setdefault(common, common))
        taken.append(header)
    return taken


def folder_of(header: ImageHeader) -> str:
    return os.path.dirname(header.path)


def _name_folders(
    folders: Iterable[str], root: str | Path, taken: Collection[str]
) -> dict[str, str]:
    names: dict[str, str] = {}
    for folder in sorted(folders):
        parts = Path(folder).relative_to(root).parts or (Path(root).resolve().name,)
        name = '_'.join(parts).translate({ord(mark): '_' for mark in FORBIDDEN})
        reason = refusal(name)
        if name in names.values() or name in taken:
            reason = 'is the id of another series'
        if reason:
            raise ValueError(
                f'{OPTION}: the folder {folder!r} would be the scan {name!r}, which {reason}: '
                'rename the folder'
            )
        names[folder] = name
    return names
