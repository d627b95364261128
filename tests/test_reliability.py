"""The page of what was tried is what the tests say."""

from pathlib import Path
from runpy import run_path

import pytest

TOOL = run_path(str(Path(__file__).parents[1] / 'docs/make_reliability.py'))


def test_the_page_is_up_to_date():
    page = TOOL['PAGE'].read_text(encoding='utf-8')
    assert TOOL['filled'](page) == page, 'run python docs/make_reliability.py'


def test_a_mark_of_no_area_is_refused(tmp_path):
    path = tmp_path / 'test_x.py'
    path.write_text("@pytest.mark.tried('weather', 'rain', 'wet')\ndef test_rain():\n    ...\n")
    with pytest.raises(ValueError, match='line 1: expected one of'):
        list(TOOL['rows_in'](path))
