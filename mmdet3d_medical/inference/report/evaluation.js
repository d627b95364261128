'use strict';

function make(tag, text = '', properties = {}) {
  const made = Object.assign(document.createElement(tag), properties);
  if (text) made.textContent = text;
  return made;
}

document.getElementById('curve').src = DATA.curve;
document.getElementById('numbers').append(...Object.entries(DATA.summary).map(([name, value]) => {
  const line = make('tr');
  line.append(make('td', name), make('td', value));
  return line;
}));
for (const [heading, entries] of Object.entries(DATA.groups)) {
  const cards = make('div', '', { className: 'cards' });
  cards.append(...entries.map((entry) => {
    const figure = make('figure');
    figure.append(make('img', '', { className: 'place', src: entry.picture }), make('figcaption', entry.text));
    return figure;
  }));
  document.getElementById('groups').append(make('h2', `${heading} (${entries.length})`), cards);
}
document.body.dataset.ready = 'yes';
