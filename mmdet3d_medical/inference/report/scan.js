'use strict';
// Positions are world mm (x, y, z) in LPS. NiiVue has RAS: x and y change their signs.

const VOXELS = { open: 1, accepted: 2, rejected: 3 };  // of the overlay
const COLORS = { R: [0, 255, 57, 150], G: [0, 212, 211, 150], B: [0, 0, 83, 150], A: [0, 255, 255, 255] };
const rows = DATA.findings.map((finding, index) => ({ ...finding, number: index + 1, status: 'open' }));
let selected = null;
let order = { key: 'number', down: false };
let nv = null;
let cross = null;
let saved = true;

const element = (id) => document.getElementById(id);
const diameter = (row) => (row.size[0] + row.size[1] + row.size[2]) / 3;
const VALUES = {
  number: (row) => row.number, score: (row) => row.score ?? -1, diameter,
  x: (row) => row.center[0], y: (row) => row.center[1], z: (row) => row.center[2],
  class_name: (row) => row.class_name, status: (row) => row.status,
};

function cell(text) {
  const made = document.createElement('td');
  made.textContent = text;
  return made;
}

function showRows() {
  const value = VALUES[order.key];
  const sorted = [...rows].sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0));
  if (order.down) sorted.reverse();
  element('rows').replaceChildren(...sorted.map((row) => {
    const line = document.createElement('tr');
    line.className = row.status + (row === selected ? ' selected' : '');
    const score = row.score === null ? 'added' : row.score.toFixed(3);
    line.append(...[row.number, score, diameter(row).toFixed(1),
      ...row.center.map((part) => part.toFixed(1)), row.class_name, row.status].map(cell));
    line.onclick = () => select(row);
    return line;
  }));
  element('empty').hidden = rows.length > 0;
}

function select(row) {
  selected = row;
  element('picture').src = row.picture || 'data:,';
  if (nv) {
    nv.scene.crosshairPos = nv.mm2frac([-row.center[0], -row.center[1], row.center[2]]);
    nv.updateGLVolume();
    nv.createOnLocationChange();
  }
  showRows();
}

function review(status) {
  if (!selected) return;
  selected.status = status;
  saved = false;
  showRows();
  drawBoxes();
}

function move() {
  if (!selected || !cross) return;
  selected.center = [...cross];
  selected.picture = null;
  selected.status = 'accepted';
  saved = false;
  select(selected);
  drawBoxes();
}

function add() {
  const size = Number(element('size').value);
  if (!cross || !(size > 0)) return;
  const row = { center: [...cross], size: [size, size, size], score: null, picture: null,
    class_name: DATA.class_name, number: rows.length + 1,
    status: 'accepted' };
  rows.push(row);
  saved = false;
  select(row);
  drawBoxes();
}

function quoted(text) {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function reviewText() {
  const head = 'seriesuid,coordX,coordY,coordZ,sizeX,sizeY,sizeZ,class,ignore,review,probability';
  const lines = rows.map((row) => [
    quoted(DATA.scan_id), ...row.center.map((part) => part.toFixed(4)),
    ...row.size.map((part) => part.toFixed(4)), quoted(row.class_name),
    row.status === 'open' ? 1 : 0,
    row.score === null && row.status === 'accepted' ? 'added' : row.status, row.score ?? '',
  ].join(','));
  if (!lines.length) lines.push(`${quoted(DATA.scan_id)},,,,,,,,0,no lesion,`);
  return [head, ...lines, ''].join('\n');
}

function save() {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([reviewText()], { type: 'text/csv' }));
  link.download = `${DATA.scan_id}_review.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
  saved = true;
}

// Outlines of boxes in the overlay, whose axes are those of the boxes.
function drawBoxes() {
  if (!nv) return;
  const { origin, spacing, direction, shape } = DATA.viewer;
  const image = nv.volumes[1].img;
  image.fill(0);
  for (const row of rows) {
    const offset = row.center.map((part, axis) => part - origin[axis]);
    const low = [], high = [];
    for (let axis = 0; axis < 3; axis++) {
      const along = [0, 1, 2].reduce((sum, k) => sum + direction[3 * k + axis] * offset[k], 0);
      const half = row.size[axis] / 2;
      low.push(Math.max(0, Math.round((along - half) / spacing[axis])));
      high.push(Math.min(shape[axis] - 1, Math.round((along + half) / spacing[axis])));
    }
    const value = VOXELS[row.status];
    for (let z = low[2]; z <= high[2]; z++)
      for (let y = low[1]; y <= high[1]; y++)
        for (let x = low[0]; x <= high[0]; x++) {
          const faces = (x === low[0] || x === high[0]) + (y === low[1] || y === high[1])
            + (z === low[2] || z === high[2]);
          if (faces) image[x + shape[0] * (y + shape[1] * z)] = value;
        }
  }
  nv.updateGLVolume();
}

async function startViewer() {
  if (!DATA.viewer || typeof niivue === 'undefined') {
    element('view').hidden = true;
    element('place').textContent = `Without the viewer there are still pictures only. To get it: ${HOW}`;
    ['move', 'add'].forEach((id) => { element(id).disabled = true; });
    if (!rows.length) {  // nothing of the scan was shown: nobody can say that it has no lesion
      element('save').disabled = true;
      element('clear').hidden = true;
    }
    return;
  }
  const viewer = new niivue.Niivue({ show3Dcrosshair: true, crosshairWidth: 1, logLevel: 'error',
    isResizeCanvas: true, isSliceMM: true, isRadiologicalConvention: true, sagittalNoseLeft: true });
  viewer.onLocationChange = (place) => {
    cross = [-place.mm[0], -place.mm[1], place.mm[2]];
    element('place').textContent = `x, y, z = ${cross.map((part) => part.toFixed(1)).join(', ')} mm (LPS)`;
  };
  await viewer.attachTo('planes');
  const volume = await niivue.NVImage.loadFromBase64(
    { base64: DATA.viewer.volume, name: 'scan.nii.gz', colormap: 'gray', cal_min: 0, cal_max: 255 });
  viewer.addVolume(volume);
  const overlay = await niivue.NVImage.loadFromBase64(
    { base64: DATA.viewer.overlay, name: 'boxes.nii.gz', opacity: 1 });
  overlay.setColormapLabel({ ...COLORS, I: [0, 1, 2, 3], labels: ['', 'open', 'accepted', 'rejected'] });
  viewer.addVolume(overlay);
  viewer.setSliceType(viewer.sliceTypeMultiplanar);
  viewer.setInterpolation(false);
  nv = viewer;
  drawBoxes();
  viewer.createOnLocationChange();  // so that there is a place to add at before the first click
}

async function start() {
  element('about').textContent = `${DATA.model}, threshold ${DATA.threshold.toFixed(3)}: ${rows.length} `
    + `finding${rows.length === 1 ? '' : 's'}`;
  element('notes').replaceChildren(...DATA.notes.map((note) => {
    const line = document.createElement('p');
    line.className = 'note';
    line.textContent = `Note: ${note}`;
    return line;
  }));
  document.querySelectorAll('th').forEach((head) => {
    head.onclick = () => {
      order = { key: head.dataset.key, down: order.key === head.dataset.key && !order.down };
      showRows();
    };
  });
  const actions = { accept: () => review('accepted'), reject: () => review('rejected'), move, add, save };
  Object.entries(actions).forEach(([id, action]) => { element(id).onclick = action; });
  document.onkeydown = (event) => {
    if (event.target.tagName === 'INPUT') return;
    if (event.key === 'a') review('accepted');
    if (event.key === 'r') review('rejected');
  };
  window.onbeforeunload = (event) => { if (!saved) event.preventDefault(); };
  showRows();
  await startViewer();
  if (rows.length) select(rows[0]);
  document.body.dataset.ready = 'yes';
}

start();
