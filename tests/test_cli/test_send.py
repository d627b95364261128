"""``send``: to a server that answers what a test wants, and to a real one."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pydicom
import pytest
import requests

from mmdet3d_medical.cli.main import parse
from mmdet3d_medical.cli.send import main
from mmdet3d_medical.utils.errors import UsageError

from ..test_inference.ct_series import NAME, SERIES, STUDY, find, read_scan, write_ct

dicomweb_client = pytest.importorskip('dicomweb_client')
pytest.importorskip('highdicom')

ORTHANC = shutil.which('Orthanc') or '/usr/sbin/Orthanc'
PLUGIN = Path('/usr/share/orthanc/plugins/libOrthancDicomWeb.so')
USER, PASSWORD = 'me', 'windmill'


def send(*arguments):
    return main(parse('send', [*map(str, arguments)]))


@pytest.fixture
def results(tmp_path):
    """Folder with two scans, the second one without lesions."""
    write_ct(tmp_path / 'in')
    scan = read_scan(tmp_path / 'in')
    find(scan).save(tmp_path / 'out/first', ['dicom', 'csv'])
    find(scan, (), (), ()).save(tmp_path / 'out/second', ['dicom'])
    return tmp_path / 'out'


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.fixture
def serve():
    """Function that starts a server with a function from the stored ids to (status, answer)."""
    servers = []

    def start(answer, **headers):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802
                body = self.rfile.read(int(self.headers['Content-Length']))
                status, content = answer(body)
                self.send_response(status)
                self.send_header('Content-Type', 'application/dicom+json')
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content.encode())

            def log_message(self, *args):
                pass

        servers.append(HTTPServer(('127.0.0.1', 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f'http://127.0.0.1:{servers[-1].server_port}/dicom-web'

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def only_failures(results, url, capfd):
    """What is told of each scan, none of which is sent."""
    assert send(results, url) == 2
    told = capfd.readouterr()
    assert told.out == f'0 scans sent: {url}\n'
    *lines, end = told.err.splitlines()
    assert end == '2 failed'
    assert [line.split(': ')[0] for line in lines] == ['[1/2] first', '[2/2] second']
    assert NAME.partition('^')[0] not in told.err
    return [line.partition(': failed: ')[2] for line in lines]


def test_no_server_is_told_in_a_line(results, capfd):
    url = f'http://127.0.0.1:{free_port()}/dicom-web'
    assert set(only_failures(results, url, capfd)) == {
        'no connection: is the server running, and the URL right?'
    }


@pytest.mark.parametrize(
    ('status', 'reason'),
    [
        (401, 'the server refused (HTTP 401): user or password are wrong or missing'),
        (404, 'the server refused (HTTP 404): there is no DICOMweb service at this URL'),
        (503, 'the server refused (HTTP 503): Service Unavailable'),
    ],
)
def test_refusals_are_told_with_what_they_mean(status, reason, results, serve, capfd):
    url = serve(lambda body: (status, NAME))
    assert set(only_failures(results, url, capfd)) == {reason}


def test_a_redirect_is_no_success(results, serve, capfd):
    url = serve(lambda body: (302, ''), Location='/elsewhere')
    (reason,) = set(only_failures(results, url, capfd))
    assert reason == 'the server redirects to another URL: give that one'


@pytest.mark.parametrize('content', ['<html>', '[]', '{"00081199": 5}'])
def test_an_answer_that_is_none_is_told(content, results, serve, capfd):
    url = serve(lambda body: (200, content))
    for reason in only_failures(results, url, capfd):
        assert reason.startswith(('the answer is none of DICOMweb', '2 of 2', '1 of 1'))


def test_what_the_server_leaves_out_is_a_failure(results, serve, capfd):
    """Status 200 or 202 with a list of what was not stored."""
    failed = {
        '00081198': {'vr': 'SQ', 'Value': [{'00081197': {'vr': 'US', 'Value': [0xA700]}}]},
    }
    url = serve(lambda body: (202, json.dumps(failed)))
    assert only_failures(results, url, capfd) == [
        '2 of 2 objects were not stored (reason 0xa700)',
        '1 of 1 objects were not stored (reason 0xa700)',
    ]


def test_a_broken_file_does_not_stop_the_others(results, serve, capfd):
    report = pydicom.dcmread(results / 'second/sr.dcm')
    stored = {
        '00081199': {
            'vr': 'SQ',
            'Value': [{'00081155': {'vr': 'UI', 'Value': [str(report.SOPInstanceUID)]}}],
        }
    }
    (results / 'first/seg.dcm').write_text('not DICOM')
    assert send(results, serve(lambda body: (200, json.dumps(stored)))) == 2
    told = capfd.readouterr()
    assert told.out.splitlines()[0] == '[2/2] second: sent sr.dcm'
    assert 'seg.dcm cannot be read: InvalidDicomError' in told.err


def test_what_cannot_be_sent_is_an_error(results, tmp_path):
    url = 'http://127.0.0.1:1/dicom-web'
    with pytest.raises(UsageError, match='no such folder'):
        send(tmp_path / 'nowhere', url)
    with pytest.raises(UsageError, match='run predict with --format dicom'):
        send(tmp_path, url)
    with pytest.raises(UsageError, match=r'no sr.dcm of the scans third'):
        send(results, url, '--scan', 'first', 'third')
    with pytest.raises(UsageError, match='URL must be like http://localhost'):
        send(results, 'localhost:8042')
    with pytest.raises(UsageError, match='must not hold a name or password') as error:
        send(results, f'http://me:{PASSWORD}@localhost/dicom-web')
    assert PASSWORD not in str(error.value)


def test_missing_package_is_told_with_what_to_install(results, monkeypatch):
    monkeypatch.setitem(sys.modules, 'dicomweb_client', None)
    with pytest.raises(
        UsageError, match=r"dicomweb_client: pip install 'mmdet3d_medical\[dicom\]'"
    ):
        send(results, 'http://127.0.0.1:1/dicom-web')


def test_the_password_is_no_option():
    with pytest.raises(SystemExit):
        parse('send', ['out', 'http://localhost', '--password', 'x'])


@pytest.fixture
def orthanc(tmp_path):
    """URL of a server of its own, reachable from this machine only."""
    if not (Path(ORTHANC).is_file() and PLUGIN.is_file()):
        pytest.skip('Orthanc with its DICOMweb plugin is missing')
    port, folder = free_port(), tmp_path / 'orthanc'
    folder.mkdir()
    config = {
        'HttpPort': port,
        'RemoteAccessAllowed': False,
        'HttpBindAddresses': ['127.0.0.1'],  # newer ones than Debian's know it
        'DicomServerEnabled': False,
        'AuthenticationEnabled': True,
        'RegisteredUsers': {USER: PASSWORD},
        'StorageDirectory': str(folder),
        'IndexDirectory': str(folder),
        'Plugins': [str(PLUGIN)],
        'DicomWeb': {'Enable': True, 'Root': '/dicom-web/'},
    }
    (tmp_path / 'orthanc.json').write_text(json.dumps(config))
    with (tmp_path / 'orthanc.log').open('w') as log:
        process = subprocess.Popen(
            [ORTHANC, str(tmp_path / 'orthanc.json')], stdout=log, stderr=log, cwd=tmp_path
        )
    try:
        _wait(port, process, tmp_path / 'orthanc.log')
        yield f'http://127.0.0.1:{port}/dicom-web'
    finally:
        process.terminate()
        process.wait(30)


def _wait(port, process, log):
    """Ask until the server answers, be it that it wants a password."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f'http://127.0.0.1:{port}/system', timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f'Orthanc does not answer: {log.read_text()[-2000:]}')


def test_a_server_gives_back_what_was_sent(results, orthanc, tmp_path, monkeypatch, capfd):
    assert set(only_failures(results, orthanc, capfd)) == {
        'the server refused (HTTP 401): user or password are wrong or missing'
    }
    monkeypatch.setenv('MMDET3D_DICOMWEB_PASSWORD', PASSWORD)
    for _ in range(2):  # the second time adds nothing
        assert send(results, orthanc, '--user', USER, '--scan', 'first') == 0
        assert capfd.readouterr().out.splitlines() == [
            '[1/1] first: sent seg.dcm, sr.dcm',
            f'1 scans sent: {orthanc}',
        ]
    session = requests.Session()
    session.auth = USER, PASSWORD
    client = dicomweb_client.DICOMwebClient(orthanc, session=session)
    images = [pydicom.dcmread(path) for path in sorted((tmp_path / 'in').iterdir())]
    client.store_instances(images)

    found = client.search_for_series(study_instance_uid=STUDY)
    modalities = {s['0020000E']['Value'][0]: s['00080060']['Value'][0] for s in found}
    made = {n: pydicom.dcmread(results / f'first/{n}.dcm') for n in ('seg', 'sr')}
    assert modalities == {
        SERIES: 'CT',
        made['seg'].SeriesInstanceUID: 'SEG',
        made['sr'].SeriesInstanceUID: 'SR',
    }
    assert len(client.search_for_instances(STUDY)) == len(images) + 2
    for dataset in (*made.values(), images[0]):
        fetched = client.retrieve_instance(STUDY, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
        assert fetched == dataset
