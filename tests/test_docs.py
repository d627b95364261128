"""Links of all pages lead somewhere, and the pages name every command."""

import re
from functools import cache
from pathlib import Path

import pytest

from mmdet3d_medical.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for folder in ('.', 'docs', 'configs', 'projects')
    for page in (ROOT / folder).glob('*.md' if folder == '.' else '**/*.md')
    if '_build' not in page.parts
)
LINK = re.compile(r'\]\((?!https?://|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)')


@cache
def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub and myst make them."""
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r'^#+ (.+)$', text, re.MULTILINE)
    plain = (re.sub(r'[`*]|\[([^\]]*)\]\([^)]*\)', r'\1', heading) for heading in headings)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in plain}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page):
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for name, anchor in LINK.findall(text):
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f'{name} in {page}'
        if anchor:
            assert anchor in anchors(target), f'{name}#{anchor} in {page}'


def test_the_page_of_commands_has_them_all():
    page = (ROOT / 'docs/reference/cli.md').read_text()
    assert set(re.findall(r'^\| `([a-z0-9-]+)` \|', page, re.MULTILINE)) == set(COMMANDS)


def test_every_page_is_in_the_index():
    index = (ROOT / 'docs/README.md').read_text()
    toctree = set(re.findall(r'^[a-z0-9_/]+$', index, re.MULTILINE))
    pages = {
        str(page.relative_to(ROOT / 'docs')).removesuffix('.md')
        for page in (ROOT / 'docs').glob('**/*.md')
        if '_build' not in page.parts and page.name != 'README.md'
    }
    api = {page for page in pages if page.startswith('reference/')} - toctree
    assert pages - api == toctree
    named = (ROOT / 'docs/reference/api.md').read_text()
    assert all(Path(page).name in named for page in api)
