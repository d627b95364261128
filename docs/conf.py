"""Settings of Sphinx: `make docs`."""

from mmdet3d_medical import __version__

project = 'mmdet3d_medical'
author = 'The mmdet3d_medical authors'
release = __version__
extensions = ['myst_parser']
myst_enable_extensions = ['dollarmath']
html_theme = 'furo'
root_doc = 'README'
exclude_patterns = ['_build']
myst_heading_anchors = 3
