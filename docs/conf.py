"""Settings of Sphinx: `make docs`."""

import re
from pathlib import Path

from mmdet3d_medical import __version__
from mmdet3d_medical.utils import register_all_modules

register_all_modules()  # before autodoc imports a part of the package by itself

project = 'mmdet3d_medical'
author = 'The mmdet3d_medical authors'
release = __version__
extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.autosummary',
    'sphinx.ext.mathjax',
    'sphinx.ext.napoleon',
]
html_theme = 'furo'
root_doc = 'README'
exclude_patterns = ['_build']
myst_enable_extensions = ['amsmath', 'dollarmath']
myst_heading_anchors = 3

# The public names of a package are those in its __all__, wherever they are defined.
autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'bysource'
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
autosummary_ignore_module_all = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# A link from a page to a file outside docs/ works in the repository. In the built pages the path of
# the file takes its place.
DOCS = Path(__file__).parent
LINK = re.compile(r'\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)(?:#[^)\s]*)?\)')


def name_files_outside(app, docname: str, source: list[str]) -> None:
    """Replace links to files outside docs/ in a page that was read."""

    def replace(match: re.Match) -> str:
        target = (DOCS / docname).parent.joinpath(match[2]).resolve()
        if target.is_relative_to(DOCS):
            return match[0]
        return f'{match[1]} (`{target.relative_to(DOCS.parent)}`)'

    source[0] = LINK.sub(replace, source[0])


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect('source-read', name_files_outside)
