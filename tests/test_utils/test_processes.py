"""Folders that one process works in at a time."""

import errno
import os
import signal

import pytest

from mmdet3d_medical.utils import processes
from mmdet3d_medical.utils.processes import STEPS_LOCK, BusyError, lock_folder

posix = pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')


def test_a_folder_is_held_once(tmp_path):
    folder = tmp_path / 'made'
    with lock_folder(folder):
        with pytest.raises(BusyError, match=f'another process works in {folder}'):
            with lock_folder(folder):
                pass
        with lock_folder(folder, STEPS_LOCK):  # what starts a run, and the training itself
            pass
    with lock_folder(folder):
        pass


def test_an_error_frees_a_folder(tmp_path):
    with pytest.raises(ValueError), lock_folder(tmp_path):
        raise ValueError
    with lock_folder(tmp_path):
        pass


@posix
@pytest.mark.tried('faults', 'kill -9 of a process that holds a folder', 'the folder is free')
def test_a_killed_process_holds_no_folder(tmp_path):
    process = os.fork()
    if not process:
        with lock_folder(tmp_path):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(process, 0)
    assert (tmp_path / 'lock').is_file()
    with lock_folder(tmp_path):
        pass


@posix
def test_forked_workers_do_not_hold_a_folder(tmp_path):
    """As those of a data loader, which live on for a while when a run is killed."""
    (ready, begun), (end, ended) = os.pipe(), os.pipe()
    with lock_folder(tmp_path):
        worker = os.fork()
        if not worker:
            os.write(begun, b'x')
            os.read(end, 1)
            os._exit(0)
        os.read(ready, 1)
        # The file is closed, not unlocked: as the system does for a process that is killed.
    try:
        with lock_folder(tmp_path):
            pass
    finally:
        os.write(ended, b'x')
        os.waitpid(worker, 0)
        for file in (ready, begun, end, ended):
            os.close(file)


def test_a_file_system_without_locks_is_told_and_used(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(processes, 'lock_descriptor', refuse)
    with pytest.warns(UserWarning, match='lock cannot be locked .*nothing keeps a second process'):
        with lock_folder(tmp_path):
            pass
