// The page: joins the connection to what is known of the market, and that to the screen.
//
// Events change only what is known; the screen follows once a frame, and not at all while nobody
// looks. The address's fragment is the selected symbol: /#ethusdt.
// Invariant: an event's latency counts to the frame in which it is shown; events that came while
// nobody looked do not count.

import { Chart } from './chart.js';
import { pageTime, ServerClock } from './clock.js';
import { Connection } from './connection.js';
import { Delays } from './delays.js';
import { fixed, setClass, setText, setTitle } from './format.js';
import { Ladder, spread } from './ladder.js';
import { Latency } from './latency.js';
import { Quote, SymbolList, TradeList } from './lists.js';
import { Market } from './market.js';
import { Catalogue, wanted } from './streams.js';

/** Nothing for so long, and what is shown is called stale. */
const STALE_AFTER_MS = 5000;
const TICKS_A_SECOND = 4;
/** Drawn less often than the lists: they cost more and say the same. */
const CHART_EVERY_MS = 200;
const LATENCY_EVERY_MS = 500;
/** More events than a frame can have: beyond it their latency goes unrecorded. */
const PENDING_MAX = 50_000;

const node = (id) => document.getElementById(id);

const market = new Market((instrument) => onSymbol(instrument));
const catalogue = new Catalogue(() => onCatalogue());
const clock = new ServerClock();
const latency = new Latency();
const address = `${location.protocol.replace('http', 'ws')}//${location.host}/stream`;
const connection = new Connection(address, onEvent, onPhase);

const symbolList = new SymbolList(select);
const tradeList = new TradeList();
const quote = new Quote();
const ladder = new Ladder();
const chart = new Chart();
const delays = new Delays();

let selected = null;
let isFrameDue = false;
let isChartDue = true;
let chartAt = 0;
let latencyAt = 0;
let candleWidth = 1;
/** [ts, receivedAt] of each event since the last frame. */
let pending = [];
/** Events in each of the last ticks: of one second. */
const counts = new Array(TICKS_A_SECOND).fill(0);
let ticks = 0;

// --- what comes ---------------------------------------------------------------------------------

function onEvent(stream, data, ts, isNew, receivedAt) {
  counts[0] += 1;
  market.handle(stream, data);
  if (document.hidden) return;
  if (isNew && pending.length < PENDING_MAX) pending.push([ts, receivedAt]);
  isChartDue = true;
  frameSoon();
}

function onPhase() {
  if (connection.phase === 'open') {
    // A server that has been started anew may feed other streams and have another clock.
    catalogue.start();
    clock.start();
  } else if (connection.phase === 'waiting') {
    market.forgetBooks();
  }
  showState();
  frameSoon();
}

function onSymbol(instrument) {
  symbolList.add(instrument);
  if (selected === null && !location.hash) select(instrument.name);
  subscribe();
}

function onCatalogue() {
  for (const name of catalogue.symbols()) market.symbol(name);
  symbolList.order(catalogue.symbols());
  subscribe();
}

function subscribe() {
  connection.want(wanted(catalogue, [...market.symbols.keys()], selected?.name));
}

// --- what is chosen -----------------------------------------------------------------------------

function select(name) {
  selected = market.symbol(name) ?? selected;
  if (!selected) return;
  symbolList.select(selected.name);
  history.replaceState(null, '', `#${selected.name}`);
  node('chart').setAttribute('aria-label', `Price chart of ${selected.label}`);
  subscribe();
  isChartDue = true;
  chartAt = -Infinity;
  frameSoon();
}

function selectFromAddress() {
  const name = location.hash.slice(1).toLowerCase();
  if (/^[a-z0-9_-]{1,40}$/.test(name)) select(name);
}

node('widths').addEventListener('change', ({ target }) => {
  candleWidth = Number(target.value);
  isChartDue = true;
  chartAt = -Infinity;
  frameSoon();
});

// --- what is shown ------------------------------------------------------------------------------

function frameSoon() {
  if (isFrameDue || document.hidden) return;
  isFrameDue = true;
  requestAnimationFrame((now) => {
    isFrameDue = false;
    show(now);
    recordFrame();
  });
}

function show(now) {
  symbolList.show();
  quote.show(selected, spread(selected), now);
  ladder.show(selected);
  tradeList.show(selected);
  if (selected && isChartDue && now - chartAt >= CHART_EVERY_MS) {
    chart.show(selected, candleWidth);
    chartAt = now;
    isChartDue = false;
  }
  if (now - latencyAt >= LATENCY_EVERY_MS) {
    delays.show(latency, clock, thisSecond());
    latencyAt = now;
  }
}

/** The document is as it will be painted: what came before this moment is on the screen now. */
function recordFrame() {
  const paintedAt = performance.now();
  const second = thisSecond();
  const ahead = pageTime(0) + clock.offset;
  // Until the clocks have been compared there is nothing to be said.
  if (Number.isFinite(ahead)) {
    for (const [ts, receivedAt] of pending) {
      latency.record(second, receivedAt + ahead - ts, paintedAt + ahead - ts);
    }
  }
  pending = [];
}

function thisSecond() {
  return Math.floor(pageTime() / 1000);
}

function showState() {
  const now = performance.now();
  const silentMs = now - connection.lastEventAt;
  let [feed, text, since] = ['none', 'connecting', ''];
  if (connection.phase === 'waiting') {
    const seconds = Math.max(0, Math.ceil((connection.retryAt - now) / 1000));
    [feed, text, since] = ['stale', `disconnected: ${connection.why}`, `again in ${seconds} s`];
  } else if (connection.phase === 'connecting') {
    // The same words for as long as it lasts: each change of them is read aloud.
    if (connection.why) {
      [feed, text, since] = ['stale', `disconnected: ${connection.why}`, 'trying again'];
    }
  } else if (connection.lastEventAt === null) {
    text = 'connected, no events yet';
    feed = market.symbols.size > 0 ? 'stale' : 'none';
  } else if (silentMs < STALE_AFTER_MS) {
    [feed, text] = ['live', 'live'];
  } else {
    [feed, text, since] = ['stale', 'stale', `nothing for ${Math.floor(silentMs / 1000)} s`];
  }
  document.body.dataset.feed = feed;
  // The words alone are read aloud, and only when they change; the seconds beside them are not.
  setText(node('state'), text);
  setText(node('state-since'), since);
}

function showVitals() {
  setText(node('rate'), fixed(counts.reduce((sum, count) => sum + count, 0), 0));
  counts.pop();
  counts.unshift(0);
  const { missed, gaps, conflated } = connection;
  setText(node('lost'), fixed(missed, 0));
  setClass(node('lost'), missed > 0 ? 'down' : '');
  setTitle(
    node('gaps-cell'),
    `Trades that never came: ${missed}, in ${gaps} gaps of their numbers. ` +
      `Of other streams ${conflated} values were replaced by newer ones on the way.`,
  );
  const hasTickers = [...market.symbols.values()].some(({ hasTicker }) => hasTicker);
  setText(node('change-basis'), hasTickers ? '24 h' : 'since opened');
  node('empty').hidden = market.symbols.size > 0;
  if (selected && ticks % TICKS_A_SECOND === 0) {
    setTitle(document, `${fixed(selected.last, selected.priceDecimals)} ${selected.label}`);
  }
}

function tick() {
  if (document.hidden) return;
  ticks += 1;
  latency.advance(thisSecond());
  showState();
  showVitals();
  frameSoon();
}

// --- beginning ----------------------------------------------------------------------------------

document.addEventListener('visibilitychange', () => {
  pending = [];
  if (document.hidden) return;
  connection.connectNow();
  clock.start();
  frameSoon();
});
addEventListener('online', () => connection.connectNow());
addEventListener('hashchange', selectFromAddress);
setInterval(tick, 1000 / TICKS_A_SECOND);

selectFromAddress();
subscribe();
connection.connectNow();
