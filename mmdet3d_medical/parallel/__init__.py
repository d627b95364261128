"""The same work for many scans: processes of this machine, workers of Dask, jobs of SLURM."""

from .choice import make_workers
from .each import Cluster, NoResult, Workers, do_each, in_this_process, map_parallel

__all__ = [
    'Cluster',
    'NoResult',
    'Workers',
    'do_each',
    'in_this_process',
    'make_workers',
    'map_parallel',
]
