"""Reports as single HTML files, which open without a network."""

from .page import evaluation_page, scan_page

__all__ = ['evaluation_page', 'scan_page']
