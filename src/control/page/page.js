// The status page of vipd: asks for /v1/status and /v1/events again and again and shows what they say.
// Texts are only ever set as text.
'use strict';

const EVERY = 1000, HIDDEN = 10000, GIVE_UP = 8000, EVENTS = 300, ROWS = 200;
const $ = id => document.getElementById(id);
const LEVELS = ['info', 'warning', 'error'];
// Each state has a shape and a word; the colour only repeats them.
const STATES = {
  MASTER: ['▲', 'good'], BACKUP: ['▽', 'idle'], FAULT: ['✖', 'bad'], INIT: ['…', 'wait'],
};
let last = null, before = null, lastAt = 0, beforeAt = 0, seen = 0, paused = false, began = '', timer = 0;
const events = [];

function el(tag, attrs, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'class') node.className = value; else node.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === '') continue;
    node.append(child);
  }
  return node;
}

// Brings `old` to what `now` is, and touches nothing that is the same: focus, selection and what is open stay.
function morph(old, now) {
  if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName) { old.replaceWith(now); return; }
  if (old.nodeType === Node.TEXT_NODE) { if (old.data !== now.data) old.data = now.data; return; }
  for (const attr of [...old.attributes]) {
    if (attr.name !== 'open' && !now.hasAttribute(attr.name)) old.removeAttribute(attr.name);
  }
  for (const attr of [...now.attributes]) {
    if (old.getAttribute(attr.name) !== attr.value) old.setAttribute(attr.name, attr.value);
  }
  fill(old, [...now.childNodes]);
}

function fill(parent, wanted) {
  const keyed = new Map();
  for (const child of parent.childNodes) if (child.dataset && child.dataset.key) keyed.set(child.dataset.key, child);
  wanted.forEach((now, at) => {
    const here = parent.childNodes[at];
    const key = now.dataset && now.dataset.key;
    const same = key ? keyed.get(key) : here;
    if (key && same && same !== here) parent.insertBefore(same, here || null);
    if (!same || (key && !same.isConnected) || (!key && here && here.dataset && here.dataset.key)) {
      parent.insertBefore(now, here || null);
      return;
    }
    morph(same, now);
  });
  while (parent.childNodes.length > wanted.length) parent.lastChild.remove();
}

const local = stamp => {
  const at = new Date(stamp);
  if (isNaN(at)) return stamp;
  const time = at.toLocaleTimeString([], { hourCycle: 'h23' });
  return Date.now() - at < 20 * 3600e3 ? time : at.toLocaleDateString() + ' ' + time;
};
// Points in time stand in UTC within sentences.
const words = text => String(text).replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, local);
const badge = (shape, word, kind) => el('span', { class: 'badge ' + kind }, shape + ' ' + word);
const count = n => n >= 1e9 ? (n / 1e9).toFixed(1) + 'G' : n >= 1e6 ? (n / 1e6).toFixed(1) + 'M'
  : n >= 1e4 ? (n / 1e3).toFixed(0) + 'k' : n >= 1e3 ? (n / 1e3).toFixed(1) + 'k' : String(Math.round(n));
const millis = us => us === null || us === undefined ? '' : us < 1e4 ? (us / 1e3).toFixed(1) + ' ms' : Math.round(us / 1e3) + ' ms';

function matches(...texts) {
  const wanted = $('filter').value.trim().toLowerCase();
  return !wanted || texts.some(text => text && String(text).toLowerCase().includes(wanted));
}

function bounded(list, show) {
  const rows = list.slice(0, ROWS).map(show);
  if (list.length > ROWS) {
    rows.push(el('p', { class: 'soft', 'data-key': 'more' }, `${list.length - ROWS} more: filter by a name.`));
  }
  return rows;
}

function instance(i) {
  const [shape, kind] = STATES[i.state] || ['?', 'wait'];
  const why = i.why.startsWith(i.state + ': ') ? i.why.slice(i.state.length + 2) : i.why;
  const master = i.master && (i.master.ours ? 'this node' : `${i.master.address}, priority ${i.master.priority}`);
  const weights = i.priority.weights.filter(w => w.adds).map(w => ` ${w.adds > 0 ? '+' : '−'}${Math.abs(w.adds)} (${w.tracker})`);
  const c = i.counters;
  return el('article', { class: 'card ' + kind, 'data-key': i.name },
    el('div', { class: 'head' }, el('h3', {}, i.name), badge(shape, i.state, kind)),
    el('p', { class: 'why' }, words(why)),
    el('ul', {}, i.addresses.map(a => el('li', {},
      el('span', { class: a.held ? 'good-t' : 'soft' }, a.held ? '● here' : '○ not here'), ` ${a.address}`,
      a.interface && el('span', { class: 'soft' }, ` on ${a.interface}`)))),
    i.leaving && el('p', { class: 'warn-t' }, '◆ holds them until they answer elsewhere'),
    el('p', { class: 'soft' }, i.since ? `since ${local(i.since)}` : '', i.before ? `, ${i.before} before` : '',
      master ? `; master is ${master}` : '; no master is known'),
    el('details', {}, el('summary', {}, `priority ${i.priority.effective}, VRID ${i.vrid}`),
      el('ul', {},
        el('li', {}, `priority ${i.priority.base}${weights.join('')} = ${i.priority.effective}`),
        el('li', {}, `VRRPv${i.version} on ${i.interface || 'no interface'}, advert every ${i.advert_ms / 1000} s`,
          i.nopreempt && ', nopreempt', i.group && `, sync group ${i.group}`),
        el('li', {}, `adverts: ${c.advert_sent} sent, ${c.advert_rcvd} believed, ${c.advert_lost} lost; ${c.become_master} times master`))));
}

function rate(now, then, field) {
  if (!now || !then || lastAt <= beforeAt || now[field] < then[field]) return null;
  return (now[field] - then[field]) * 1000 / (lastAt - beforeAt);
}

function server(s, old) {
  const [shape, word, kind] = s.drained ? ['◆', 'drained', 'warn'] : s.up ? ['▲', 'up', 'good'] : ['▼', 'down', 'bad'];
  const weight = s.weight_now === null ? 'not in the pool'
    : s.weight_now === s.weight ? `${s.weight}` : `${s.weight_now} instead of ${s.weight}`;
  const t = s.traffic, then = old && old.traffic;
  const conns = rate(t, then, 'connections');
  const bytes = rate(t, then, 'bytes_in'), back = rate(t, then, 'bytes_out');
  return el('tr', { 'data-key': s.address },
    el('td', {}, s.address),
    el('td', {}, el('span', { class: kind + '-t' }, `${shape} ${word}`), s.since && el('span', { class: "soft" }, ` since ${local(s.since)}`)),
    el('td', { class: 'num', 'data-label': 'weight' }, weight),
    el('td', { class: 'num', 'data-label': 'connections' }, t ? `${count(t.active)} + ${count(t.inactive)}` : '–'),
    el('td', { class: 'num', 'data-label': 'new/s' }, conns === null ? '–' : count(conns)),
    el('td', { class: 'num', 'data-label': 'bytes/s in, out' }, bytes === null ? '–' : `${count(bytes)}, ${count(back || 0)}`),
    el('td', { 'data-label': 'checks' }, s.checks.length
      ? el('ul', {}, s.checks.map(c => el('li', { class: c.up ? '' : 'bad-t' },
        `${c.paused ? '‖' : c.up ? '✔' : '✖'} ${c.kind}`, c.target ? ` ${c.target}` : '', ': ',
        c.paused ? 'paused' : c.result === null ? 'not answered yet' : c.result,
        c.latency_us !== null && c.result === 'passed' ? ` in ${millis(c.latency_us)}` : '',
        c.up && c.retries ? `, try ${c.retries} failed` : '')))
      : el('span', { class: 'soft' }, 'none')));
}

function service(v, old) {
  const ups = v.real_servers.filter(s => s.up).length;
  const [shape, word, kind] = !v.quorum ? ['✖', 'NO QUORUM', 'bad']
    : ups < v.real_servers.length || !v.programmed ? ['◆', 'DEGRADED', 'warn'] : ['▲', 'OK', 'good'];
  const olds = new Map((old ? old.real_servers : []).map(s => [s.address, s]));
  const t = v.traffic, conns = rate(t, old && old.traffic, 'connections');
  return el('article', { class: 'service ' + kind, 'data-key': v.name },
    el('div', { class: 'head' }, el('h3', {}, v.name, el('span', { class: 'soft' }, ` ${v.scheduler}${v.group ? ', group ' + v.group : ''}`)),
      badge(shape, word, kind)),
    el('p', { class: 'why' }, v.why),
    t && el('p', { class: 'soft' }, `${count(t.active)} connections, ${count(t.inactive)} closing, ${count(t.connections)} ever`,
      conns === null ? '' : `, ${count(conns)} new/s`),
    el('table', {}, el('thead', {}, el('tr', {}, el('th', {}, 'Server'), el('th', {}, 'State'), el('th', { class: 'num' }, 'Weight'),
      el('th', { class: 'num' }, 'Connections (+ closing)'), el('th', { class: 'num' }, 'New/s'), el('th', { class: 'num' }, 'Bytes/s in, out'), el('th', {}, 'Checks'))),
    el('tbody', {}, bounded(v.real_servers, s => server(s, olds.get(s.address)))
      .map(row => row.nodeName === 'TR' ? row : el('tr', { 'data-key': 'more' }, el('td', {}, row))))));
}

function tracker(t) {
  const [shape, kind] = t.value === 'down' ? ['▼', 'bad-t'] : t.value === 'unknown' ? ['…', 'warn-t'] : ['▲', 'good-t'];
  return el('li', { 'data-key': t.key }, el('span', { class: kind }, `${shape} ${t.value}`), ` ${t.key}: ${t.says}`,
    t.since && el('span', { class: 'soft' }, `, since ${local(t.since)}`));
}

function banners(s) {
  const out = [];
  const add = (kind, text) => out.push(el('p', { class: 'banner ' + kind, 'data-key': text }, `${kind === 'bad' ? '✖' : '◆'} ${text}`));
  if (s.daemon.standby) add('warn', words(`STANDBY: this node yields everything${s.daemon.standby_since ? ' (' + s.daemon.standby_since + ')' : ''}`));
  if (s.daemon.waits_for) add('warn', `No address is claimed yet: it waits for ${s.daemon.waits_for}`);
  const r = s.daemon.reload;
  if (r && !r.done) add('bad', `RELOAD REFUSED at ${local(r.at)}, the configuration before it is in force:\n${r.errors.join('\n')}`);
  for (const k of s.kernel || []) if (k.why) add('bad', `KERNEL ${k.name} is ${k.now === null ? 'not there' : k.now} instead of ${k.wanted}: ${k.why}`);
  for (const o of s.overrides || []) add('warn', words(o.says));
  for (const d of s.draining || []) add('warn', `draining ${d.server} of ${d.service}: ${d.connections === null ? 'connections not counted yet' : d.connections + ' connections left'}, until ${local(d.until)} at most`);
  if (s.daemon.events_lost) add('warn', `${s.daemon.events_lost} events came too fast to be kept`);
  return out;
}

function bad(v) { return !v.quorum ? 0 : v.real_servers.some(s => !s.up) ? 1 : 2; }

function render() {
  if (!last) return;
  const s = last, d = s.daemon;
  const masters = s.instances.filter(i => i.state === 'MASTER').length;
  const faults = s.instances.filter(i => i.state === 'FAULT').length;
  const shape = faults ? '✖' : masters ? '▲' : '▽';
  document.title = `${shape} ${masters}/${s.instances.length} master · ${d.host} · vipd`;
  $('host').textContent = `vipd on ${d.host}`;
  $('about').textContent = `vipd ${d.version}, process ${d.pid}, since ${local(d.started)}, ${d.configuration}`;
  fill($('banners'), banners(s));
  const instances = s.instances.filter(i => matches(i.name, i.state, i.interface, ...i.addresses.map(a => a.address)));
  const groups = s.sync_groups.map(g => el('p', { class: 'soft', 'data-key': 'group ' + g.name },
    `sync group ${g.name}: ${g.state} (${g.members.join(', ')})`));
  const none = text => [el('p', { class: 'soft', 'data-key': 'none' }, text)];
  fill($('instance-list'), s.instances.length ? [...bounded(instances, instance), ...groups] : none('No vrrp_instance is configured.'));
  const olds = new Map((before ? before.virtual_servers : []).map(v => [v.name, v]));
  const services = s.virtual_servers.filter(v => matches(v.name, v.group, ...v.real_servers.map(r => r.address)))
    .sort((a, b) => bad(a) - bad(b));
  fill($('service-list'), s.virtual_servers.length ? bounded(services, v => service(v, olds.get(v.name))) : none('No virtual_server is configured.'));
  const trackers = s.trackers.filter(t => matches(t.key, t.says));
  const bfd = s.bfd.map(b => el('li', { 'data-key': 'bfd ' + b.name },
    el('span', { class: b.state === 'Up' ? 'good-t' : 'bad-t' }, `${b.state === 'Up' ? '▲' : '▼'} ${b.state}`),
    ` bfd ${b.name} with ${b.neighbor}`, b.reason && `: ${b.reason}`, b.since && el('span', { class: 'soft' }, `, since ${local(b.since)}`)));
  fill($('tracker-list'), s.trackers.length + bfd.length ? [el('ul', { 'data-key': 'all' }, bounded(trackers, tracker), bfd)] : none('Nothing is tracked.'));
  const least = Number($('level').value);
  const shown = events.filter(e => LEVELS.indexOf(e.level) >= least && matches(e.text, e.name, e.kind));
  fill($('event-list'), shown.slice(-EVENTS).reverse().map(e => el('li', { 'data-key': 'e' + e.number, class: e.fresh ? 'new' : null },
    el('time', { datetime: e.time }, local(e.time)),
    e.level === 'error' ? el('span', { class: 'bad-t' }, '✖ error: ') : e.level === 'warning' ? el('span', { class: 'warn-t' }, '◆ warning: ') : '',
    e.text)));
}

// What a screen reader hears, beyond what is on the page.
function say(s, old) {
  if (!old) return;
  const states = new Map(old.instances.map(i => [i.name, i.state]));
  const said = s.instances.filter(i => states.has(i.name) && states.get(i.name) !== i.state).map(i => `${i.name} is ${i.state}`);
  if (said.length) $('said').textContent = said.slice(0, 5).join(', ');
}

async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(GIVE_UP), cache: 'no-store' });
  if (!answer.ok) throw new Error(`answers ${answer.status}`);
  return answer;
}

async function look() {
  const status = await (await get('v1/status?traffic=true')).json();
  if (status.daemon.started !== began) { began = status.daemon.started; seen = 0; events.length = 0; before = last = null; }
  if (status.daemon.last_event !== seen) {
    const lines = (await (await get(`v1/events?after=${seen}`)).text()).split('\n');
    const first = seen === 0;
    for (const line of lines) {
      if (!line) continue;
      const event = JSON.parse(line);
      if (!event.number) continue;
      event.fresh = !first;
      events.push(event);
      seen = event.number;
    }
    events.splice(0, Math.max(0, events.length - 1024));
  }
  if (last) { before = last; beforeAt = lastAt; }
  last = status;
  lastAt = Date.now();
  say(last, before);
}

function live(shape, word, kind) {
  const text = `${shape} ${word}`;
  if ($('live').textContent !== text) { $('live').textContent = text; $('live').className = 'badge ' + kind; }
}

async function tick() {
  clearTimeout(timer);
  const begun = Date.now();
  if (!paused) {
    try {
      await look();
      render();
      live('●', 'live', 'good');
    } catch (error) {
      const ago = last ? `, as it was ${Math.round((Date.now() - lastAt) / 1000)} s ago` : '';
      live('✖', `no answer${ago}`, 'bad');
    }
  }
  // A slow answer, or a page that nobody looks at, is asked for less often.
  const took = Date.now() - begun;
  timer = setTimeout(tick, Math.max(document.hidden ? HIDDEN : EVERY, took * 4));
}

function pause() {
  paused = !paused;
  $('pause').setAttribute('aria-pressed', String(paused));
  $('pause').textContent = paused ? 'Go on' : 'Pause';
  if (paused) live('‖', 'paused', 'warn'); else tick();
}

$('pause').addEventListener('click', pause);
$('filter').addEventListener('input', render);
$('level').addEventListener('change', render);
document.addEventListener('visibilitychange', () => { if (!document.hidden) tick(); });
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches('input, select')) { if (event.key === 'Escape') event.target.blur(); return; }
  const parts = ['instances', 'services', 'trackers', 'events'];
  if (event.key === '/') { event.preventDefault(); $('filter').focus(); }
  else if (event.key === 'p') pause();
  else if (parts[event.key - 1]) {
    const part = $(parts[event.key - 1]);
    part.setAttribute('tabindex', '-1');
    part.scrollIntoView();
    part.focus({ preventScroll: true });
  }
});
tick();
