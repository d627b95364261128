"""Where the configs are that come with the package."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# A wheel and an editable installation have them in the package, see setup.py.
SHIPPED = PACKAGE / '.mim' if (PACKAGE / '.mim').is_dir() else PACKAGE.parent
