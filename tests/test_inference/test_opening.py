"""Reports open where somebody sits at a screen alone."""

import sys

import pytest

from mmdet3d_medical.inference.report import opening


@pytest.mark.parametrize(
    ('terminal', 'platform', 'environment', 'opens'),
    [
        (True, 'linux', {'DISPLAY': ':0'}, True),
        (True, 'linux', {'WAYLAND_DISPLAY': 'wayland-0'}, True),
        (True, 'darwin', {}, True),
        (True, 'darwin', {'SSH_CONNECTION': 'a'}, False),
        (True, 'linux', {}, False),
        (True, 'linux', {'DISPLAY': ':0', 'CI': 'true'}, False),
        (False, 'linux', {'DISPLAY': ':0'}, False),
    ],
)
def test_who_sees_a_report(terminal, platform, environment, opens, tmp_path, monkeypatch, capsys):
    for name in (*opening.SCREENS, 'CI', 'SSH_CONNECTION'):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    opened = []
    monkeypatch.setattr(opening.webbrowser, 'open', opened.append)
    monkeypatch.setattr(opening.sys, 'platform', platform)
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: terminal)
    paths = [tmp_path / 'a b.html', tmp_path / 'c.html']
    opening.show(paths)
    assert opened == [paths[0].as_uri()] * opens
    assert all(
        str(path) in capsys_line
        for path, capsys_line in zip(paths, capsys.readouterr().out.splitlines(), strict=True)
    )
