'use strict';

// Pictures of several moments: one at a time, by slider or played.
for (const box of document.querySelectorAll('.frames')) {
  const controls = box.querySelector('.controls');
  if (!controls) continue;
  const [play, slider, told] = controls.children;
  const all = box.querySelectorAll('.frame');
  let timer = 0;
  const show = () => {
    all.forEach((frame, i) => frame.classList.toggle('now', i === +slider.value));
    told.value = all[slider.value].dataset.at;
    slider.setAttribute('aria-valuetext', told.value);
  };
  const rest = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = '▶';
  };
  play.onclick = () => {
    if (timer) return rest();
    if (slider.value === slider.max) slider.value = 0;
    show();
    play.textContent = '❚❚';
    timer = setInterval(() => {
      slider.value = +slider.value + 1;
      show();
      if (slider.value === slider.max) rest();
    }, Math.max(120, Math.min(600, 6000 / all.length)));
  };
  slider.oninput = () => { rest(); show(); };
  controls.hidden = false;
  box.classList.add('live');
  show();
}

// Curves: one cursor for all of them, moved by pointer or arrow keys.
for (const group of document.querySelectorAll('.charts')) {
  const end = +group.dataset.end || 1;
  const charts = [...group.querySelectorAll('.chart')].map(chart => {
    const outputs = chart.querySelectorAll('.legend output');
    const lines = [...chart.querySelectorAll('path[data-x]')].map((path, i) => ({
      x: path.dataset.x ? path.dataset.x.split(' ').map(Number) : [],
      y: path.dataset.y.split(' '),
      output: outputs[i],
      last: outputs[i].value,
    }));
    return { area: chart.querySelector('.area'), cursor: chart.querySelector('.cursor'), at: chart.querySelector('.at'), lines };
  });
  const stops = charts.length ? charts[0].lines[0].x : [];
  let stop = -1;
  const nearest = (xs, x) => {
    let low = 0, high = xs.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (xs[middle] < x) low = middle + 1; else high = middle;
    }
    return low > 0 && x - xs[low - 1] < xs[low] - x ? low - 1 : low;
  };
  const point = x => charts.forEach(({ cursor, at, lines }) => {
    cursor.hidden = false;
    cursor.style.left = x / end * 100 + '%';
    at.value = Math.round(x).toLocaleString('en') + ' images';
    for (const line of lines) if (line.x.length) line.output.value = line.y[nearest(line.x, x)];
  });
  const leave = () => {
    stop = -1;
    charts.forEach(({ cursor, at, lines }) => {
      cursor.hidden = true;
      at.value = '';
      for (const line of lines) line.output.value = line.last;
    });
  };
  const go = i => {
    stop = Math.max(0, Math.min(stops.length - 1, i));
    point(stops[stop]);
  };
  for (const { area } of charts) {
    const follow = event => {
      const box = area.getBoundingClientRect();
      const x = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * end;
      if (stops.length) go(nearest(stops, x));
    };
    area.onpointermove = area.onpointerdown = follow;
    area.onpointerleave = area.onblur = leave;
    area.onkeydown = event => {
      const last = stops.length - 1, here = stop < 0 ? last : stop;
      const to = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: last }[event.key];
      if (to === undefined || last < 0) return;
      event.preventDefault();
      go(to);
    };
  }
  // Among many lines, one that is chosen in a legend stands out in every chart.
  const lines = group.querySelectorAll('.line'), picks = group.querySelectorAll('.pick');
  picks.forEach(pick => pick.onclick = () => {
    const chosen = pick.ariaPressed === 'true' ? null : pick.dataset.line;
    picks.forEach(other => { other.ariaPressed = String(other.dataset.line === chosen); });
    lines.forEach(line => line.classList.toggle('dim', chosen !== null && line.dataset.line !== chosen));
  });
}
