// The page at `/` as a person meets it, in Chromium: page.mjs BINARY [CHECK…].
//
// Each check has a server and a browser of its own, waits with a deadline for what must be seen,
// and says in one line what was. With SCREENSHOTS=DIR it leaves pictures there, for people.
// Invariant: it ends only servers that it started, and exits 0 only if every check passed.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withBrowser } from './chromium.mjs';

const DEADLINE_MS = 20_000;
const DESK = { viewport: { width: 1440, height: 900 } };
const PHONE = {
  viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2,
};

const [binary, ...asked] = process.argv.slice(2);

function check(holds, text) {
  if (!holds) throw new Error(text);
}

// --- servers --------------------------------------------------------------------------------

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** `tickwire serve` on a port, until `stop` or `withServer` ends it. */
class TickwireServer {
  #child = null;

  constructor(port, more) {
    this.url = `http://127.0.0.1:${port}/`;
    this.arguments = ['serve', '--listen', `127.0.0.1:${port}`, ...more];
  }

  async start() {
    this.#child = spawn(binary, this.arguments, { stdio: ['ignore', 'pipe', 'ignore'] });
    // It writes what it does once it listens.
    await Promise.race([
      once(this.#child.stdout, 'data'),
      once(this.#child, 'exit').then(() => Promise.reject(new Error('the server ended at once'))),
    ]);
    this.#child.stdout.resume();
  }

  signal(name) {
    this.#child.kill(name);
  }

  async stop(name) {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill(name);
    await exit;
  }
}

async function withServer(more, use) {
  const server = new TickwireServer(await freePort(), more);
  try {
    await server.start();
    return await use(server);
  } finally {
    await server.stop('SIGKILL');
  }
}

// --- the browser ------------------------------------------------------------------------------

/** A page, and all that went wrong in it and where it sent requests to. */
async function open(context, url) {
  const page = context.pages()[0] ?? (await context.newPage());
  const errors = [];
  const origins = new Set();
  page.on('console', (message) => {
    const { url: source } = message.location();
    if (['error', 'warning'].includes(message.type())) errors.push(`${message.text()} (${source})`);
  });
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('request', (request) => origins.add(new URL(request.url()).origin));
  page.on('websocket', (socket) => origins.add(new URL(socket.url()).origin));
  page.setDefaultTimeout(DEADLINE_MS);
  await page.goto(url);
  return { page, errors, origins };
}

/** Waits until `test` holds in the page; says what there was instead. */
async function until(page, what, test, argument) {
  try {
    return await (await page.waitForFunction(test, argument)).jsonValue();
  } catch (error) {
    const words = await page.locator('.status').innerText().catch(() => 'no page');
    const status = words.replace(/\s+/g, ' ');
    throw new Error(`${what} was not seen; status: ${status}; ${error.message}`);
  }
}

const isLive = (page) => until(page, 'live', () => document.body.dataset.feed === 'live');

/** Waits until the large price has shown so many values; returns them. */
function prices(page, wanted) {
  return page.evaluate(
    ({ wanted, deadline }) => new Promise((resolve, reject) => {
      const node = document.getElementById('quote-last');
      const seen = new Set();
      const look = () => {
        const price = Number(node.textContent.replaceAll(',', ''));
        if (price > 0) seen.add(price);
        if (seen.size < wanted) return;
        watcher.disconnect();
        resolve([...seen]);
      };
      const watcher = new MutationObserver(look);
      watcher.observe(node, { characterData: true, childList: true, subtree: true });
      setTimeout(() => reject(new Error(`only ${seen.size} prices were shown`)), deadline);
    }),
    { wanted, deadline: DEADLINE_MS },
  );
}

async function picture(page, name) {
  const directory = process.env.SCREENSHOTS;
  if (!directory) return;
  const fullPage = page.viewportSize().width < 700;
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage });
}

/** Milliseconds from '1.40 ms' or '12.0 s'. */
function spanOf(text) {
  const match = /^([\d.,]+) (ms|s)$/.exec(text);
  check(match, `not a span: '${text}'`);
  return Number(match[1].replaceAll(',', '')) * (match[2] === 's' ? 1000 : 1);
}

// --- the checks -------------------------------------------------------------------------------

/** Prices move, the book is a book, trades come, candles are drawn; nothing is from elsewhere. */
async function market() {
  return withServer(['--rate', '5'], (server) => withBrowser(DESK, async (context) => {
    const { page, errors, origins } = await open(context, server.url);
    await isLive(page);
    const moved = await prices(page, 5);
    const books = await page.evaluate(bookOverFrames, 60);
    for (const { bids, asks } of books) {
      check(bids.length >= 10 && asks.length >= 10, `${bids.length} bids, ${asks.length} asks`);
      // Asks stand above bids, the highest first: one falling sequence.
      const all = [...asks, ...bids];
      check(all.every((price, i) => i === 0 || price < all[i - 1]), `not a book: ${all}`);
    }
    const different = new Set(books.map((book) => JSON.stringify(book))).size;
    check(different >= 3, `the book has not changed in ${books.length} frames`);
    await until(page, 'a list of 20 trades', () =>
      document.querySelectorAll('#trades tr')[19].innerText.trim());
    const top = await page.locator('#trades tr').first().innerText();
    await until(page, 'a further trade', (before) =>
      document.querySelector('#trades tr').innerText !== before, top);
    const drawn = await until(page, 'candles', coloursOnTheChart);
    const count = await page.locator('#symbols [role=option]').count();
    check(count === 4, `${count} symbols`);
    check((await page.title()).includes('BTCUSDT'), `title: ${await page.title()}`);
    const home = new URL(server.url).host;
    check([...origins].every((origin) => new URL(origin).host === home), `from ${[...origins]}`);
    check(origins.size === 2, `http and ws: ${[...origins]}`);
    check(errors.length === 0, errors.join('; '));
    await picture(page, 'desk-light');
    return `${moved.length} prices, ${different} books, ${drawn} pixels of candles`;
  }));
}

/** Runs in the page: the prices of each side of the book, in so many frames. */
function bookOverFrames(frames) {
  return new Promise((resolve) => {
    const books = [];
    const side = (id) => [...document.querySelectorAll(`#${id} td:first-child`)]
      .map((cell) => cell.textContent.replaceAll(',', '')).filter(Boolean).map(Number);
    const look = () => {
      const book = { bids: side('bids'), asks: side('asks') };
      if (book.bids.length > 0) books.push(book);
      if (books.length < frames) requestAnimationFrame(look);
      else resolve(books);
    };
    look();
  });
}

/** Runs in the page: how many pixels of the chart have a candle's colours. */
function coloursOnTheChart() {
  const style = getComputedStyle(document.documentElement);
  const wanted = ['--up', '--down'].map((name) => {
    const hex = style.getPropertyValue(name).trim();
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).join();
  });
  const canvas = document.querySelector('#chart canvas');
  // A copy for each look: the browser warns of a canvas that is read again and again.
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (wanted.includes(data.slice(at, at + 3).join())) count += 1;
  }
  return count > 50 ? count : false;
}

/** Percentiles are there, in order, and of a size that can be; the clocks have been compared. */
async function latency() {
  return withServer([], (server) => withBrowser(DESK, async (context) => {
    const { page } = await open(context, server.url);
    await until(page, 'percentiles', () =>
      document.getElementById('painted-max').innerText !== '–');
    await prices(page, 5);
    // All at once, since they change.
    const table = await page.evaluate(() => ['received', 'painted'].map((column) => {
      const texts = ['p50', 'p90', 'p99', 'max'].map((row) => `${column}-${row}`);
      return texts.map((id) => document.getElementById(id).innerText);
    }));
    const [received, painted] = table.map((column) => column.map(spanOf));
    for (const column of [received, painted]) {
      check(column.every((ms, i) => i === 0 || ms >= column[i - 1]), `not in order: ${column}`);
      check(column.every((ms) => ms > 0 && ms < 5000), `cannot be, on loopback: ${column}`);
    }
    check(painted.every((ms, i) => ms >= received[i]), `painted before received: ${table}`);
    const clock = await page.locator('#clock').innerText();
    const uncertainty = spanOf(clock.split('± ')[1]);
    check(uncertainty < 500, `the clocks were not compared: ${clock}`);
    const told = await page.locator('#clock').getAttribute('title');
    const offset = Number(/by (-?[\d.]+) ms/.exec(told)[1]);
    // Browser and server run on one machine: there is no difference to be found.
    check(Math.abs(offset) <= uncertainty + 1, `offset ${offset} ± ${uncertainty} ms`);
    check((await page.locator('#lost').innerText()) === '0', 'trades were lost');
    return `p50 ${painted[0]} ms, p99 ${painted[2]} ms, clocks ± ${uncertainty} ms`;
  }));
}

/** Another symbol by pointer, by keyboard and by address; the width of candles by keyboard. */
async function choosing() {
  return withServer([], (server) => withBrowser(DESK, async (context) => {
    const { page, errors } = await open(context, server.url);
    await isLive(page);
    const showing = (symbol) => until(page, symbol, (symbol) => {
      const last = Number(document.getElementById('quote-last').innerText.replaceAll(',', ''));
      const bid = Number(document.querySelector('#bids td').innerText.replaceAll(',', ''));
      return document.getElementById('quote-symbol').innerText === symbol &&
        Math.abs(bid / last - 1) < 0.05 && location.hash === `#${symbol.toLowerCase()}`;
    }, symbol);
    await showing('BTCUSDT');
    await page.locator('#symbols [role=option]').nth(2).click();
    await showing('SOLUSDT');
    await page.locator('#symbols').focus();
    await page.keyboard.press('ArrowUp');
    await showing('ETHUSDT');
    await page.keyboard.press('End');
    await showing('BNBUSDT');
    const chosen = await page.locator('#symbols [aria-selected=true]').getAttribute('id');
    const active = await page.locator('#symbols').getAttribute('aria-activedescendant');
    check(chosen === active, `${chosen} is chosen, ${active} is active`);
    await page.keyboard.press('Tab');
    const onWidth = await page.evaluate(() => document.activeElement.name);
    check(onWidth === 'width', `Tab went to ${onWidth}`);
    await page.keyboard.press('ArrowRight');
    const width = await page.locator('#widths :checked').inputValue();
    check(width === '5', `candles of ${width} s`);
    await page.evaluate(() => { location.hash = '#btcusdt'; });
    await showing('BTCUSDT');
    await page.goto(`${server.url}#ethusdt`);
    await page.reload();
    await showing('ETHUSDT');
    check(errors.length === 0, errors.join('; '));
    return 'by pointer, arrows, End, address; 5 s candles by keyboard';
  }));
}

/** A silent server, one that is killed, one that is stopped: said at once, and over by itself. */
async function restart() {
  return withServer([], (server) => withBrowser(DESK, async (context) => {
    const { page } = await open(context, server.url);
    await isLive(page);
    await prices(page, 2);
    const stale = (words) => until(page, words, (words) =>
      document.body.dataset.feed === 'stale' &&
      document.querySelector('.status').innerText.includes(words), words);
    server.signal('SIGSTOP');
    await stale('nothing for 6 s');
    await picture(page, 'desk-stale');
    server.signal('SIGCONT');
    await isLive(page);
    await server.stop('SIGKILL');
    await stale('disconnected');
    await stale('no connection');
    await server.start();
    await isLive(page);
    const moved = await prices(page, 3);
    await server.stop('SIGTERM');
    await stale('the server is stopping');
    await server.start();
    await isLive(page);
    await prices(page, 3);
    check((await page.locator('#lost').innerText()) === '0', 'an outage was counted as a loss');
    return `silent, killed and stopped; ${moved.length} prices afterwards`;
  }));
}

/** Nobody looks: nothing is written into the document, and it goes on when somebody does. */
async function hidden() {
  return withServer(['--rate', '5'], (server) => withBrowser(DESK, async (context) => {
    const { page, errors } = await open(context, server.url);
    await isLive(page);
    const look = (isHidden) => page.evaluate(writesOverFrames, { isHidden, frames: 30 });
    const unseen = await look(true);
    check(unseen === 0, `${unseen} changes of the document while it was hidden`);
    const seen = await look(false);
    check(seen > 30, `only ${seen} changes of the document after it was hidden`);
    check(errors.length === 0, errors.join('; '));
    return `0 changes in 30 frames, then ${seen}`;
  }));
}

/** Runs in the page: hides or shows it, and counts changes of the document in so many frames. */
function writesOverFrames({ isHidden, frames }) {
  Object.defineProperty(document, 'hidden', { get: () => isHidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
  return new Promise((resolve) => {
    let writes = 0;
    const watcher = new MutationObserver((records) => { writes += records.length; });
    const what = { characterData: true, childList: true, attributes: true, subtree: true };
    const step = (left) => {
      if (left > 0) return requestAnimationFrame(() => step(left - 1));
      watcher.disconnect();
      resolve(writes);
    };
    // A frame that was asked for before may still come.
    requestAnimationFrame(() => requestAnimationFrame(() => {
      watcher.observe(document.body, what);
      step(frames);
    }));
  });
}

/** A recording with neither tickers nor candles nor partial books: what there is, is shown. */
async function recording() {
  const directory = await mkdtemp(join(tmpdir(), 'tickwire-page-'));
  try {
    const file = join(directory, 'day.ndjson');
    await writeFile(file, recordedLines(2000));
    const more = ['--feed', `replay:${file}`, '--loop'];
    return await withServer(more, (server) => withBrowser(DESK, async (context) => {
      const { page } = await open(context, `${server.url}#abcusd`);
      await isLive(page);
      await prices(page, 5);
      await until(page, 'a best bid', () => document.querySelector('#bids td').innerText);
      await until(page, 'a trade', () => document.querySelector('#trades td').innerText);
      await until(page, 'candles', coloursOnTheChart);
      const basis = await page.locator('#quote-basis').innerText();
      check(basis === 'since opened', `changes are said to be of: ${basis}`);
      await picture(page, 'desk-recording');
      return 'best prices, trades, candles made of trades';
    }));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A line each 20 ms: a best bid and ask, then a trade. */
function recordedLines(count) {
  const lines = [];
  for (let i = 0; i < count; i += 1) {
    const ms = 1_700_000_000_000 + 20 * i;
    const price = (100 + Math.sin(i / 50)).toFixed(2);
    const ask = (Number(price) + 0.01).toFixed(2);
    const s = 'ABCUSD';
    const [kind, data] = i % 2 === 0
      ? ['bookTicker', { u: i + 1, s, b: price, B: '3.0', a: ask, A: '2.5' }]
      : ['trade', { e: 'trade', E: ms, s, t: i, p: price, q: '0.5', T: ms, m: i % 4 === 1 }];
    lines.push(`${ms}000000 ${JSON.stringify({ stream: `abcusd@${kind}`, data })}\n`);
  }
  return lines.join('');
}

/** Fits a phone, is worked by touch, and can be read in the dark and in the light. */
async function phone() {
  const seen = [];
  await withServer(['--rate', '5'], async (server) => {
    for (const colorScheme of ['dark', 'light']) {
      await withBrowser({ ...PHONE, colorScheme }, async (context) => {
        const { page, errors } = await open(context, server.url);
        await isLive(page);
        for (const width of [320, 360, 740]) {
          await page.setViewportSize({ width, height: 740 });
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          check(over <= 0, `${over} px too wide for a screen of ${width} px`);
        }
        await page.setViewportSize(PHONE.viewport);
        await page.locator('#symbols [role=option]').nth(1).tap();
        await until(page, 'ETHUSDT', () =>
          document.getElementById('quote-symbol').innerText === 'ETHUSDT');
        await prices(page, 3);
        await until(page, 'candles', coloursOnTheChart);
        const { least, ground } = await page.evaluate(leastContrast);
        check(least >= 4.5, `contrast of ${least.toFixed(2)} in the ${colorScheme} theme`);
        check(errors.length === 0, errors.join('; '));
        await picture(page, `phone-${colorScheme}`);
        seen.push(`${colorScheme} on ${ground} contrast ${least.toFixed(1)}`);
        await page.setViewportSize(DESK.viewport);
        await picture(page, `desk-${colorScheme}-4`);
      });
    }
  });
  check(seen[0].split(' ')[2] !== seen[1].split(' ')[2], `both themes are one: ${seen}`);
  return `320, 360 and 740 px; ${seen.join(', ')}`;
}

/** Runs in the page: the least contrast (WCAG 2) of text with the panel that it is on. */
function leastContrast() {
  const luminance = (rgb) => {
    const parts = rgb.match(/[\d.]+/g).slice(0, 3).map((part) => {
      const value = Number(part) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const ground = getComputedStyle(document.querySelector('.panel')).backgroundColor;
  const texts = ':is(h2, dt, dd, td, th, p, li span, label span)';
  const ratios = [...document.querySelectorAll(`.panel ${texts}`)]
    .filter((node) => node.innerText.trim())
    .map((node) => {
      const [a, b] = [getComputedStyle(node).color, ground].map(luminance);
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    });
  return { least: Math.min(...ratios), ground: ground.replaceAll(' ', '') };
}

const CHECKS = { market, latency, choosing, restart, hidden, recording, phone };

let failed = 0;
const names = asked.length > 0 ? asked : Object.keys(CHECKS);
for (const name of names) {
  const start = performance.now();
  let [verdict, text] = ['ok', ''];
  try {
    check(CHECKS[name], `there is no such check; there are ${Object.keys(CHECKS).join(', ')}`);
    text = await CHECKS[name]();
  } catch (error) {
    [verdict, text] = ['FAILED', error.message];
    failed += 1;
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1).padStart(5);
  console.log(`${name.padEnd(12)}${verdict.padEnd(7)}${seconds} s  ${text}`);
}
console.log(`page: ${names.length - failed} of ${names.length} passed`);
process.exit(failed ? 1 : 0);
