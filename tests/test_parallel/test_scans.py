"""Predict and converters give on clusters what they give here; no scan is done twice."""

import os
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.cli import convert_volumes, predict
from mmdet3d_medical.cli.main import parse
from mmdet3d_medical.datasets.converters.cache import ScanSource
from mmdet3d_medical.inference import runs
from mmdet3d_medical.inference.scans import Scan
from mmdet3d_medical.packing import read_model
from mmdet3d_medical.parallel import make_workers

LOG = 'read.txt'


def write_scan(path: Path, seed: int) -> None:
    voxels = np.random.default_rng(seed).normal(-850, 15, (30, 40, 44))
    distance = (np.indices(voxels.shape).T - np.array([15, 20, 20])) * 1.5
    voxels[np.sqrt((distance**2).sum(-1)).T < 5] = 30
    image = sitk.GetImageFromArray(voxels.astype(np.int16))
    image.SetSpacing((1.5, 1.5, 1.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


@dataclass(frozen=True)
class Watched(ScanSource):
    """Tells that it is read."""

    def read(self) -> sitk.Image:
        with (self.image.parent / LOG).open('a') as file:
            file.write(f'{self.scan_id}\n')
        return super().read()


@dataclass(frozen=True)
class Deadly(Watched):
    """Who reads it first is killed."""

    def read(self) -> sitk.Image:
        image = super().read()
        if (self.image.parent / LOG).read_text().split().count(self.scan_id) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return image


def reads(folder: Path) -> Counter:
    return Counter((folder / LOG).read_text().split())


def job(out: Path) -> runs.Job:
    sha256 = read_model('phantom').facts.sha256
    return runs.Job('phantom', sha256, 0.2, out, ('slicer',), 'cpu', 'torch')


def written(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in out.rglob('*.*')}


@pytest.mark.tried(
    'predict',
    'a Dask worker is killed while it searches a scan',
    'that scan is done again; all results are those of one process',
)
def test_predict_on_dask_with_a_killed_worker(dask_address, tmp_path):
    scans = {'a': Watched, 'b': Deadly, 'c': Watched, 'd': Watched}
    for seed, name in enumerate(scans):
        write_scan(tmp_path / f'{name}.mha', seed)

    def scan(name, kind):
        return Scan(name, kind(name, tmp_path / f'{name}.mha'))

    there = [scan(*item) for item in scans.items()]
    results = [*runs.predict(job(tmp_path / 'there'), there, make_workers(f'dask:{dask_address}'))]
    assert Counter(r.scan_id for r in results if r.findings) == dict.fromkeys(scans, 1)
    assert reads(tmp_path)['b'] == 2

    here = [scan(name, ScanSource) for name in scans]
    local = [runs.predict_scan(job(tmp_path / 'here'), scan, threads=1) for scan in here]
    assert all(result.findings.lesions for result in local)
    assert written(tmp_path / 'there') == written(tmp_path / 'here')


def test_what_a_lost_worker_had_finished_is_not_done_again(tmp_path):
    """A cluster that calls for each scan twice, as where the first answer is lost."""
    write_scan(tmp_path / 'a.mha', 0)
    scan = Scan('a', Watched('a', tmp_path / 'a.mha'))
    first, second = (runs._predict_missing(job(tmp_path / 'out'), scan, 1) for _ in range(2))
    assert reads(tmp_path) == dict(a=1) and second.skipped and not first.skipped
    assert first.findings.to_dict() == second.findings.to_dict()


@pytest.mark.tried(
    'predict',
    'jobs of submitit that are processes of this machine, on scans of which one is done',
    'the others are done, with the results of one process',
)
def test_predict_by_jobs(slurm_jobs, tmp_path, capsys):
    for seed, name in enumerate('abc'):
        write_scan(tmp_path / f'in/{name}.mha', seed)
    (tmp_path / 'in/d.mha').write_text('broken')

    def run(out, scans, *options):
        arguments = (
            f'phantom {tmp_path}/{scans} -o {tmp_path}/{out} --backend torch --format slicer'
        )
        return predict.main(parse('predict', [*arguments.split(), *options]))

    assert run('here', 'in') == 2 and run('there', 'in/a.mha') == 0
    capsys.readouterr()
    assert run('there', 'in', '--executor', 'slurm', '--slurm-options', 'cluster=local') == 2
    told = capsys.readouterr()
    assert told.out.count('done before') == 1 and '[4/4]' in told.out + told.err
    assert written(tmp_path / 'here') == written(tmp_path / 'there')


def test_convert_on_dask(dask_address, tmp_path):
    for seed, name in enumerate('ab'):
        write_scan(tmp_path / f'in/{name}.mha', seed)
    (tmp_path / 'in/c.mha').write_text('broken')

    def run(out, *options):
        arguments = [str(tmp_path / 'in'), '--out', str(tmp_path / out), '--spacing', '2', '2', '2']
        return convert_volumes.main(parse('convert-volumes', [*arguments, *options]))

    assert run('here', '--workers', '1') == 1
    assert run('there', '--executor', f'dask:{dask_address}') == 1
    here, there = written(tmp_path / 'here'), written(tmp_path / 'there')
    assert here == there and {'volumes/a.npy', 'volumes/b.npy', 'index.json'} <= {*here}
