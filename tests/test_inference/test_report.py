"""Reports: one file, which asks no network, in a real browser where there is one."""

import base64
import csv
import dataclasses
import json
import re
import shutil
import time

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from mmdet3d_medical.datasets.converters import ConvertSettings, read_annotations
from mmdet3d_medical.datasets.converters.volumes import convert_volumes
from mmdet3d_medical.datasets.index import read_index
from mmdet3d_medical.inference import read_findings_json
from mmdet3d_medical.inference.report import evaluation_page, page, scan_page, viewer
from mmdet3d_medical.inference.report.pictures import COLORS, SIDE_PIXELS, place_picture

from .conftest import make_image

ANGLE = np.deg2rad(10)
TURNED = [[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1]]
BOXES = [[8, 11, 18, 13, 17, 23], [2, 4, 6, 6, 9, 12], [14, 20, 30, 17, 24, 34]]


@pytest.fixture
def findings(make_findings):
    return make_findings(make_image(TURNED), BOXES, notes=('a note & <b>more</b>',))


def data_of(text):
    """What the page's script works on."""
    found = re.search(r'const DATA = (.*?); const HOW', text, re.DOTALL)
    return json.loads(found[1].replace('<\\/', '</').replace('<\\!--', '<!--'))


def test_page_is_one_file_that_names_no_address(findings, monkeypatch):
    monkeypatch.setattr(page, 'script', lambda: None)
    text = scan_page(findings)
    assert not re.search(r'(src|href)="(?!data:)', text) and '://' not in text
    data = data_of(text)
    assert data['viewer'] is None and len(data['findings']) == 3
    for row, lesion in zip(data['findings'], findings.lesions, strict=True):
        np.testing.assert_allclose(row['center'], lesion.center_mm, atol=1e-4)
    assert viewer.HOW in text


def test_text_of_a_scan_cannot_end_the_script(findings, monkeypatch):
    monkeypatch.setattr(page, 'script', lambda: 'const a = "</script>";')
    text = scan_page(findings)
    assert text.count('</script>') == 3 and '<b>more' not in text.split('<script>')[0]


def test_text_that_looks_like_a_part_of_the_template_stays(findings, monkeypatch):
    monkeypatch.setattr(page, 'script', lambda: 'code')
    odd = dataclasses.replace(findings, scan_id='[[SCRIPT]]')
    assert data_of(scan_page(odd))['scan_id'] == '[[SCRIPT]]'


def test_viewer_gets_the_scan_in_8_bits_where_it_lies(findings, monkeypatch, tmp_path):
    monkeypatch.setattr(page, 'script', lambda: '0')
    found = data_of(scan_page(findings))['viewer']
    path = tmp_path / 'a.nii.gz'
    path.write_bytes(base64.b64decode(found['volume']))
    shown = sitk.ReadImage(str(path))
    center = findings.lesions[0].center_mm
    assert shown.GetPixelID() == sitk.sitkUInt8 and min(shown.GetSpacing()) >= 1.5
    values = [
        shown[shown.TransformPhysicalPointToIndex(place)] for place in (center, (0.0, 50.0, -75.0))
    ]
    assert values[0] > 150 > 60 > values[1]  # tissue of 40 HU is 189, lung of -850 HU is 27
    np.testing.assert_allclose(found['direction'], findings.geometry.direction, atol=1e-6)
    assert list(found['shape']) == list(shown.GetSize())


def test_findings_from_a_file_have_no_report(findings, tmp_path):
    (path,) = findings.save(tmp_path, ['json'])
    with pytest.raises(ValueError, match='scan scan: findings that were read from a file'):
        scan_page(read_findings_json(path))


def picture(url):
    import io

    return np.array(Image.open(io.BytesIO(base64.b64decode(url.partition(',')[2]))))


def test_pictures_show_the_place_and_its_box():
    """A bright voxel at the center, the box 20 mm around it, at 60 mm in 180 pixels."""
    volume = np.full((60, 60, 60), -1000, np.int16)
    volume[30, 30, 30] = 400
    shown = picture(
        place_picture(
            volume, (1, 1, 1), (30.5, 30.5, 30.5), [('finding', [20, 20, 20, 40, 40, 40])]
        )
    )
    assert shown.shape == (SIDE_PIXELS, 3 * SIDE_PIXELS + 8, 3)
    color = tuple(int(COLORS['finding'][k : k + 2], 16) for k in (1, 3, 5))
    for start in (0, SIDE_PIXELS + 4, 2 * (SIDE_PIXELS + 4)):
        plane = shown[:, start : start + SIDE_PIXELS]
        rows, columns = np.nonzero((plane == color).all(-1))
        assert {columns.min(), columns.max()} == {60, 120}
        assert 59 <= rows.min() <= 60 and 119 <= rows.max() <= 120
        bright = np.argwhere((plane > 200).all(-1))
        assert np.abs(bright.mean(0) - 90).max() <= 3  # a voxel is 3 pixels


@pytest.mark.parametrize('slices', [1, 2.5, 5, 7])
def test_outlines_lie_on_what_they_are_of_in_thick_slices_too(slices):
    """A bright cube of about 40 mm, with and without its outline."""
    spacing, count = np.array([slices, 1, 1]), round(40 / slices)
    volume = np.full((4 * count, 160, 160), -1000, np.int16)
    box = np.array([2 * count - count // 2, 60, 60] * 2) + [0, 0, 0, count, 40, 40]
    volume[tuple(map(slice, box[:3], box[3:]))] = 400
    center = (box[:3] + box[3:]) / 2
    plain, drawn = (
        picture(place_picture(volume, spacing, center, boxes))[:, :, 0].astype(int)
        for boxes in ([], [('finding', box)])
    )
    for start in (0, SIDE_PIXELS + 4, 2 * (SIDE_PIXELS + 4)):
        inside = plain[:, start : start + SIDE_PIXELS] > 127
        line = (drawn - plain)[:, start : start + SIDE_PIXELS] != 0
        for axis in (0, 1):
            cube, outline = (np.nonzero(mask.any(axis))[0][[0, -1]] for mask in (inside, line))
            assert np.ptp(cube) == pytest.approx(3 * 40, abs=3 * slices)  # 3 pixels a mm
            np.testing.assert_allclose(outline, cube, atol=1.5)


def test_a_finding_does_not_hide_the_lesion_below_it():
    """Of two equal boxes, the lesion's line is seen on both sides of the finding's."""
    volume, box = np.full((60, 60, 60), -1000, np.int16), [20, 20, 20, 40, 40, 40]
    for kinds in (('lesion', 'finding'), ('finding', 'lesion')):
        boxes = [(kind, box) for kind in kinds]
        row = picture(place_picture(volume, (1, 1, 1), (30.5, 30.5, 30.5), boxes))[90, :90]
        lesion, finding = (
            np.nonzero((row == [int(COLORS[kind][k : k + 2], 16) for k in (1, 3, 5)]).all(-1))[0]
            for kind in ('lesion', 'finding')
        )
        assert lesion.tolist() == [58, 59, 61, 62] and finding.tolist() == [60]


def test_head_is_up_and_front_is_up():
    volume = np.full((40, 40, 40), -1000, np.int16)
    volume[30:, 20, 20] = 400  # above, towards the head
    volume[20, :10, 20] = 400  # in front
    shown = picture(place_picture(volume, (1, 1, 1), (20.5, 20.5, 20.5), side=40))
    axial, coronal, sagittal = (
        shown[:, k * (SIDE_PIXELS + 4) :][:, :SIDE_PIXELS, 0] for k in range(3)
    )
    half = SIDE_PIXELS // 2
    assert axial[:half].max() > 200 > axial[half + 9 :].max()
    assert coronal[:half].max() > 200 > coronal[half + 9 :].max()
    assert sagittal[:half].max() > 200 and sagittal[:, :half].max() > 200


def test_evaluation_page_is_one_file():
    entry = dict(picture='data:image/png;base64,', text='<i>scan</i>')
    text = evaluation_page('marks & co', {'CPM': '0.5'}, 'data:,', {'Missed': [entry]})
    assert '<title>marks &amp; co</title>' in text and '://' not in text


@pytest.fixture
def browser(tmp_path):
    """Chromium without a screen; GPU work by software."""
    selenium = pytest.importorskip('selenium', reason='selenium is not installed')
    del selenium
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    programs = shutil.which('chromium'), shutil.which('chromedriver')
    if not all(programs):
        pytest.skip('chromium and chromedriver are not installed')
    options = Options()
    options.binary_location = programs[0]
    for argument in (
        *('--headless=new', '--no-sandbox', '--window-size=1400,1000'),
        *('--use-angle=swiftshader', '--enable-unsafe-swiftshader'),
    ):
        options.add_argument(argument)
    options.add_experimental_option('prefs', {'download.default_directory': str(tmp_path)})
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    driver = webdriver.Chrome(options=options, service=Service(programs[1]))
    yield driver
    driver.quit()


def opened(browser, path):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(path.as_uri())
    WebDriverWait(browser, 120).until(
        lambda b: b.find_element('tag name', 'body').get_attribute('data-ready') == 'yes'
    )


def requests_of(browser):
    messages = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    urls = [
        m['params']['request']['url']
        for m in messages
        if m['method'] == 'Network.requestWillBeSent'
    ]
    return {url for url in urls if not url.startswith(('file:', 'data:', 'blob:'))}


def saved_review(browser, folder):
    """The file that the button saves."""
    browser.find_element('id', 'save').click()
    review = folder / 'scan_review.csv'
    deadline = time.monotonic() + 60
    while not review.is_file() and time.monotonic() < deadline:
        browser.execute_script('return 1')
    return review


NEEDS_VIEWER = pytest.mark.skipif(viewer.script() is None, reason=f'no viewer: {viewer.HOW}')


@NEEDS_VIEWER
def test_review_of_a_scan_without_findings(browser, make_findings, tmp_path):
    """It says that there is no lesion, until one is added."""
    findings = make_findings(make_image(TURNED), [])
    (path,) = findings.save(tmp_path, ['html'])
    opened(browser, path)
    assert 'says that there is no lesion' in browser.find_element('id', 'empty').text
    review = saved_review(browser, tmp_path)
    assert read_annotations(review, ['nodule']) == {'scan': []}
    assert [row['review'] for row in csv.DictReader(review.open())] == ['no lesion']
    review.unlink()
    browser.find_element('id', 'add').click()
    assert not browser.find_element('id', 'empty').is_displayed()
    assert len(read_annotations(saved_review(browser, tmp_path), ['nodule'])['scan']) == 1


@NEEDS_VIEWER
def test_review_in_a_browser(browser, findings, tmp_path):
    """Opened, a row clicked, reviewed, saved; the saved file is what convert-volumes takes."""
    (path,) = findings.save(tmp_path, ['html'])
    opened(browser, path)
    rows = browser.find_elements('css selector', '#rows tr')
    assert len(rows) == 3
    rows[1].click()
    shown = browser.find_element('id', 'place').text
    numbers = [float(part) for part in re.findall(r'-?\d+\.\d', shown)]
    np.testing.assert_allclose(numbers, findings.lesions[1].center_mm, atol=1)
    pixels = np.array(Image.open(_screenshot(browser, tmp_path)))[150:600, 20:700, :3]
    assert pixels.std() > 10  # the scan is drawn: lung, not a black canvas
    browser.find_element('id', 'accept').click()
    browser.find_elements('css selector', '#rows tr')[2].click()
    browser.find_element('id', 'reject').click()
    browser.find_element('id', 'add').click()
    review = saved_review(browser, tmp_path)
    table = list(csv.DictReader(review.open()))
    assert [row['review'] for row in table] == ['open', 'accepted', 'rejected', 'added']
    assert requests_of(browser) == set()
    errors = [e for e in browser.get_log('browser') if e['level'] == 'SEVERE']
    assert not errors

    (tmp_path / 'in').mkdir()
    for name in ('scan', 'other'):
        sitk.WriteImage(findings.scan.image, str(tmp_path / f'in/{name}.mha'))
    convert_volumes([tmp_path / 'in'], [review], tmp_path / 'out', ConvertSettings())
    other, scan = read_index(tmp_path / 'out/index.json')['scans']
    assert (other['annotated'], scan['annotated']) == (False, True)  # nobody looked at the other
    assert [found['ignore'] for found in scan['instances']] == [True, False, False]
    np.testing.assert_allclose(
        scan['instances'][1]['center'], findings.lesions[1].center_mm, atol=1e-4
    )
    np.testing.assert_allclose(
        scan['instances'][1]['size'], findings.lesions[1].size_mm[::-1], atol=1e-4
    )


def _screenshot(browser, folder):
    browser.save_screenshot(str(folder / 'shown.png'))
    return folder / 'shown.png'


def test_page_without_the_viewer_shows_pictures(browser, findings, tmp_path, monkeypatch):
    monkeypatch.setattr(page, 'script', lambda: None)
    (path,) = findings.save(tmp_path, ['html'])
    opened(browser, path)
    assert viewer.HOW in browser.find_element('id', 'place').text
    browser.find_elements('css selector', '#rows tr')[2].click()
    source = browser.find_element('id', 'picture').get_attribute('src')
    assert source == data_of(path.read_text())['findings'][2]['picture']
    assert not browser.find_element('id', 'move').is_enabled()
    assert browser.find_element('id', 'save').is_enabled()


def test_a_scan_that_was_not_shown_cannot_be_said_to_have_no_lesion(
    browser, make_findings, tmp_path, monkeypatch
):
    monkeypatch.setattr(page, 'script', lambda: None)
    (path,) = make_findings(make_image(), []).save(tmp_path, ['html'])
    opened(browser, path)
    assert browser.find_element('id', 'empty').text == 'No finding at this threshold.'
    assert not browser.find_element('id', 'save').is_enabled()
