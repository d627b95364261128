"""Links to folders: what is searched does not go through them, and says so."""

import os
from collections.abc import Iterable
from pathlib import Path

LINKED = 'linked folders were not followed: give what they link to by name'


def linked_folders(paths: Iterable[str | Path]) -> dict[str, str]:
    """Links to folders below folders, and where they lead to: out of all that is searched.

    They are not followed, since they may point at each other, or at the folder around them.
    """
    roots = {Path(os.path.realpath(path)) for path in paths}
    links = {
        os.path.join(folder, name)
        for path in paths
        for folder, names, _ in os.walk(path)
        for name in names
        if os.path.islink(os.path.join(folder, name))
    }
    return {
        link: os.path.realpath(link)
        for link in sorted(links)
        if roots.isdisjoint(with_parents(link))
    }


def note_of_links(paths: Iterable[str | Path]) -> str:
    """How many linked folders were not followed, and the first; empty if there is none."""
    links = linked_folders(paths)
    return f'{len(links)} {LINKED}, the first is {next(iter(links))}' if links else ''


def with_parents(path: str | Path) -> set[Path]:
    """A path and all folders around it, none of them a link."""
    path = Path(os.path.realpath(path))  # which takes links that point at each other
    return {path, *path.parents}
