"""From a scan to findings, and from findings to files."""

from .findings import Findings, Lesion, read_findings_json

__all__ = ['Findings', 'Lesion', 'read_findings_json']
