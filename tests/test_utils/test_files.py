"""Files stay whole, whatever happens to who writes them."""

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from mmdet3d_medical.apis import save_weights
from mmdet3d_medical.datasets.phantom.writer import write_volume
from mmdet3d_medical.datasets.splits import write_splits
from mmdet3d_medical.evaluation.functional import froc
from mmdet3d_medical.evaluation.marks import Findings, Marks, write_marks
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils import files
from mmdet3d_medical.utils.files import (
    check_writable,
    replacing,
    staged,
    write_bytes,
    write_json,
    write_text,
)
from mmdet3d_medical.visualization.froc import plot_froc

SMALL_DISK = 4096  # bytes of the largest file that a full disk takes
posix = pytest.mark.skipif(os.name != 'posix', reason='needs POSIX')


def make_marks(number=600) -> Marks:
    scores = np.random.default_rng(0).random(number)
    return Marks.from_rows(
        (f'scan{k}', (k, 2.5, -3), score, 5.0, '') for k, score in enumerate(scores)
    )


def write_picture(path) -> None:
    findings = Findings.from_rows([('scan0', (0, 2.5, -3), 5.0, '')])
    plot_froc({'one': froc(['scan0'], make_marks(1), findings)}, path)


def write_scan(path) -> None:
    voxels = np.random.default_rng(0).integers(0, 1000, (20, 20, 20), np.int16)
    geometry = VolumeGeometry((0, 0, 0), (1, 1, 1), (1, 0, 0, 0, 1, 0, 0, 0, 1), voxels.shape)
    write_volume(path.parent, path.stem, voxels, geometry)


WRITERS = {
    'marks.csv': lambda path: write_marks(path, make_marks()),
    'marks.csv.gz': lambda path: write_marks(path, make_marks()),
    'train.txt': lambda path: write_splits(
        path.parent, dict(test=['a'], train=[f'scan{k}' for k in range(1000)])
    ),
    'scores.json': lambda path: write_json(path, list(range(2000))),
    'froc.png': write_picture,
    'weights.pth': lambda path: save_weights(path, dict(weight=torch.zeros(4000))),
    'scan.mhd': write_scan,
}


@pytest.fixture
def full_disk():
    """From when it is called no file can grow beyond ``SMALL_DISK`` bytes."""
    resource = pytest.importorskip('resource')
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_DISK, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.tried(
    'faults',
    'the disk is full when marks, lists of scans, JSON, a picture, weights or a volume are written',
    'the old file stays whole, nothing half written is left, the file is named',
)
@pytest.mark.parametrize('name', WRITERS)
def test_a_full_disk_leaves_the_old_file(name, tmp_path, full_disk):
    path = tmp_path / name
    WRITERS[name](path)
    assert path.stat().st_size > 0
    before = content(tmp_path)
    assert max(map(len, before.values())) > SMALL_DISK
    full_disk()
    with pytest.raises(OSError, match=f'{tmp_path}'):
        WRITERS[name](path)
    assert content(tmp_path) == before


def test_a_disk_that_is_full_only_when_it_is_written_to(tmp_path, monkeypatch):
    """As network file systems are, which tell it at last."""
    path = tmp_path / 'scores.json'
    write_json(path, [1])

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left on device') as error:
        write_json(path, [2])
    assert error.value.filename == str(path)
    assert content(tmp_path) == {'scores.json': b'[\n 1\n]\n'}


@pytest.mark.parametrize('error', [KeyboardInterrupt, ValueError, OSError(errno.EIO, 'broken')])
def test_an_error_in_the_middle_leaves_the_old_file(error, tmp_path):
    path = tmp_path / 'a.txt'
    write_text(path, 'old')
    with pytest.raises(BaseException) as raised, replacing(path) as file:
        file.write_text('half of the n')
        raise error
    assert isinstance(raised.value, error if isinstance(error, type) else OSError)
    assert content(tmp_path) == {'a.txt': b'old'}


def test_errors_of_other_files_keep_their_names(tmp_path):
    with pytest.raises(FileNotFoundError, match='missing.txt'), replacing(tmp_path / 'a.txt'):
        (tmp_path / 'missing.txt').read_text()


@posix
@pytest.mark.tried(
    'faults',
    'kill -9 while a file is written',
    'the old file stays whole; what is left beside it goes with the next writing',
)
def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / 'a.txt'
    write_text(path, 'old')
    process = os.fork()
    if not process:
        with replacing(path) as file:
            file.write_text('half of the n')
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(process, 0)
    assert path.read_text() == 'old' and len(list(tmp_path.iterdir())) == 2
    files._remove_abandoned.cache_clear()  # as in another process
    write_text(path, 'new')
    assert content(tmp_path) == {'a.txt': b'new'}


@posix
def test_only_what_dead_processes_left_is_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, '-S', '-c', ''])
    ended.wait()
    old = time.time() - 2 * files.DAY
    names = {}
    for what, host, process, changed in [
        ('dead', files._host(), ended.pid, None),
        ('alive', files._host(), os.getpid(), old),
        ('elsewhere', '0badcafe', ended.pid, None),
        ('old elsewhere', '0badcafe', 1, old),
    ]:
        names[what] = f'{files.SCRATCH}-{host}-{process}-x'
        (tmp_path / names[what]).mkdir()
        if changed:
            os.utime(tmp_path / names[what], (changed, changed))
    write_text(tmp_path / 'a.txt', 'new')
    assert {path.name for path in tmp_path.iterdir()} == {
        'a.txt',
        names['alive'],
        names['elsewhere'],
    }


@posix
def test_permissions_are_those_of_the_old_file_or_the_usual_ones(tmp_path):
    (tmp_path / 'plain.txt').touch()
    write_text(tmp_path / 'new.txt', '')
    mode = stat.S_IMODE((tmp_path / 'plain.txt').stat().st_mode)
    assert stat.S_IMODE((tmp_path / 'new.txt').stat().st_mode) == mode
    (tmp_path / 'new.txt').chmod(0o640)
    write_text(tmp_path / 'new.txt', 'x')
    assert stat.S_IMODE((tmp_path / 'new.txt').stat().st_mode) == 0o640


@posix
def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    target, link = tmp_path / 'elsewhere' / 'target.txt', tmp_path / 'link.txt'
    write_text(target, 'old')
    link.symlink_to(target)
    check_writable(link)
    write_text(link, 'new')
    assert link.is_symlink() and target.read_text() == 'new'
    assert content(target.parent) == {'target.txt': b'new'}


@posix
def test_streams_are_written_at_once(tmp_path):
    reading, writing = os.pipe()
    check_writable(f'/dev/fd/{writing}')
    write_text(f'/dev/fd/{writing}', 'marks')
    assert os.read(reading, 100) == b'marks'
    os.close(reading)
    os.close(writing)
    write_text(os.devnull, 'lost')
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_text_has_the_same_bytes_everywhere(tmp_path):
    write_text(tmp_path / 'a.txt', 'a\nµ\r\n')
    assert (tmp_path / 'a.txt').read_bytes() == b'a\n\xc2\xb5\r\n'


@pytest.mark.tried(
    'faults',
    'stopped between two of the lists that `make_splits.py` writes',
    'lists are missing; old ones never lie beside new ones',
)
def test_several_files_are_the_old_ones_or_the_new_ones(tmp_path, monkeypatch):
    write_splits(tmp_path, dict(test=['old'], train=['old'], labeled_1=['old']))
    replace, moved = os.replace, []

    def die_in_the_second_move(source, place):
        if place.parent == tmp_path:
            moved.append(place)
        if len(moved) == 2:
            raise KeyboardInterrupt
        replace(source, place)

    monkeypatch.setattr(os, 'replace', die_in_the_second_move)
    with pytest.raises(KeyboardInterrupt):
        write_splits(tmp_path, dict(test=['new'], train=['new'], labeled_1=['new']))
    found = content(tmp_path)
    assert len(found) == 1 and set(found.values()) == {b'new\n'}
    monkeypatch.undo()
    write_splits(tmp_path, dict(test=['new'], train=['new'], labeled_1=['new']))
    assert content(tmp_path) == {f'{name}.txt': b'new\n' for name in ('test', 'train', 'labeled_1')}


def test_a_folder_in_the_way_of_one_of_several_files(tmp_path):
    (tmp_path / 'b').mkdir()
    write_text(tmp_path / 'a', 'old')
    with pytest.raises(IsADirectoryError) as error, staged(tmp_path) as folder:
        for name in 'abc':
            (folder / name).write_text('new')
    assert error.value.filename == str(tmp_path / 'b')
    assert (tmp_path / 'a').read_text() == 'old' and not (tmp_path / 'c').exists()


def test_what_can_be_written_is_found_out_without_writing(tmp_path):
    check_writable(tmp_path / 'new' / 'folder' / 'a.csv')
    assert list((tmp_path / 'new' / 'folder').iterdir()) == []
    old = tmp_path / 'old.csv'
    write_bytes(old, b'old')
    before = old.stat()
    check_writable(old)
    after = old.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert old.read_bytes() == b'old'
    assert {path.name for path in tmp_path.iterdir()} == {'new', 'old.csv'}


@pytest.mark.tried(
    'faults',
    'a result cannot be written: a folder or a file is in the way, the '
    'file is read-only, the name too long',
    'told before the work, naming the file',
)
@pytest.mark.parametrize(
    ('name', 'error'),
    [
        ('folder', IsADirectoryError),
        ('file/a.csv', (FileExistsError, NotADirectoryError)),
        ('read-only', PermissionError),
        ('x' * 300, OSError),
    ],
)
@pytest.mark.parametrize(
    'attempt', [check_writable, lambda path: write_text(path, 'new')], ids=['check', 'write']
)
def test_what_cannot_be_written(name, error, attempt, tmp_path, monkeypatch):
    (tmp_path / 'folder').mkdir()
    for file in ('file', 'read-only'):
        (tmp_path / file).write_text('old')
    monkeypatch.setattr(os, 'access', lambda path, _: 'read-only' not in str(path))  # roots may all
    with pytest.raises(error) as raised:
        attempt(tmp_path / name)
    assert raised.value.filename in (str(tmp_path / name), str(tmp_path / name.split('/')[0]))
    assert (tmp_path / 'read-only').read_text() == (tmp_path / 'file').read_text() == 'old'
    assert {path.name for path in tmp_path.iterdir()} == {'folder', 'file', 'read-only'}


@posix
def test_a_named_pipe_is_no_place_for_a_result(tmp_path):
    os.mkfifo(tmp_path / 'pipe.csv')
    with pytest.raises(OSError, match='pipe'):
        check_writable(tmp_path / 'pipe.csv')
    check_writable('/dev/null')


@posix
def test_scratch_folders_with_impossible_names_are_in_nobodys_way(tmp_path):
    (tmp_path / f'{files.SCRATCH}-{files._host()}-{"9" * 20}-x').mkdir()
    write_text(tmp_path / 'a.txt', 'a')
    assert [path.name for path in tmp_path.iterdir()] == ['a.txt']
