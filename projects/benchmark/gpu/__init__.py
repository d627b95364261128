"""Parts of ``gpu_report.py``: each is a module whose ``rows`` measures one thing after another."""
