"""The command ``mmdet3d-medical``, and what each of its subcommands takes and does.

``options/<command>.py`` says what a subcommand takes and imports nothing heavy, so that ``--help``
answers at once; ``<command>.py`` does the work and is imported when it is asked for.
"""

from .main import main

__all__ = ['main']
