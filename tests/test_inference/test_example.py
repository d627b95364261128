"""The example of docs/use.md, as it stands there."""

import re
from pathlib import Path

import SimpleITK as sitk

from .test_inferencer import make_chest

PAGE = Path(__file__).parents[2] / 'docs/use.md'


def test_the_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL)
    assert "LesionInferencer('luna16-nodules')" in code
    sitk.WriteImage(make_chest(), str(tmp_path / 'chest.nii.gz'))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert len(names['findings'].lesions) >= 1  # the two balls look like nodules to it too
    assert capsys.readouterr().out.count('(') == len(names['findings'].lesions)
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {
        *('findings.mrk.json', 'report.html')
    }
