// The price as candles, with the traded volume under them: what the page has seen since it was
// opened, which a line on the left marks. Drawn on uPlot's canvas.
// Invariant: the width of the axis and the number of candles do not depend on the data, so nothing
// jumps.

import { fixed, NOTHING, setText, timeOfDay } from './format.js';
import { asSet, axis, FONT, ink, makePlot, wholeSteps } from './plot.js';

const CANDLE_PX = 7;
const CANDLES_MAX = 240;
/** Of the plot's height, for the volume. */
const VOLUME_SHARE = 0.18;

export class Chart {
  #readout = document.getElementById('chart-readout');
  #plot;
  #columns = { t: [], o: [], h: [], l: [], c: [], v: [] };
  #width = 1;
  #decimals = 2;
  #since = null;

  constructor() {
    this.#plot = makePlot(document.getElementById('chart'), this.#options(), [[], []]);
  }

  /** Candles of `width` seconds. */
  show(instrument, width) {
    const room = this.#plot.bbox.width / devicePixelRatio;
    const count = Math.min(CANDLES_MAX, Math.max(10, Math.floor(room / CANDLE_PX)));
    this.#columns = instrument.candles.columns(width, count);
    this.#width = width;
    this.#decimals = instrument.priceDecimals;
    this.#since = instrument.candles.since;
    const { t, c } = this.#columns;
    this.#plot.setData([t, c], false);
    const last = t.at(-1) ?? Math.floor(Date.now() / 1000 / width) * width;
    this.#plot.batch(() => {
      this.#plot.setScale('x', { min: last - (count - 1.5) * width, max: last + 1.5 * width });
      this.#plot.setScale('y', this.#priceRange());
    });
    this.#tell();
  }

  #priceRange() {
    const { h, l } = this.#columns;
    if (h.length === 0) return { min: 0, max: 1 };
    const [least, most] = [Math.min(...l), Math.max(...h)];
    const height = Math.max(most - least, 4 * 10 ** -this.#decimals, most * 1e-6);
    const middle = (most + least) / 2;
    // The volume has the foot of the plot to itself.
    return { min: middle - height * (0.55 + 1.3 * VOLUME_SHARE), max: middle + 0.56 * height };
  }

  #options() {
    const times = (_, values) => values.map((t) => timeOfDay(1000 * t));
    const priceText = (price) => (this.#since === null ? '' : fixed(price, this.#decimals));
    const prices = (_, values) => values.map(priceText);
    return {
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      padding: [8, 0, 0, 8],
      scales: { x: { range: asSet }, y: { range: asSet } },
      // uPlot has the axes and the pointer; candles are drawn below.
      series: [{}, { paths: () => null, points: { show: false } }],
      axes: [
        axis({ size: 26, space: 90, splits: wholeSteps, values: times }),
        axis({ side: 1, size: 84, space: 34, values: prices }),
      ],
      hooks: { draw: [(plot) => this.#draw(plot)], setCursor: [() => this.#tell()] },
    };
  }

  #draw(plot) {
    const { ctx, bbox } = plot;
    const { t, o, h, l, c, v } = this.#columns;
    const x = (time) => plot.valToPos(time, 'x', true);
    const y = (price) => plot.valToPos(price, 'y', true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    this.#drawBeginning(ctx, bbox, x);
    const step = x(this.#width) - x(0);
    const body = Math.max(1, Math.round(0.66 * step));
    const wick = Math.max(1, Math.round(devicePixelRatio));
    const mostVolume = Math.max(...v, Number.MIN_VALUE);
    const [up, down] = [ink('--up'), ink('--down')];
    for (let i = 0; i < t.length; i += 1) {
      const middle = Math.round(x(t[i]));
      const left = middle - Math.floor(body / 2);
      ctx.fillStyle = c[i] < o[i] ? down : up;
      ctx.globalAlpha = 0.35;
      const height = Math.round((v[i] / mostVolume) * VOLUME_SHARE * bbox.height);
      ctx.fillRect(left, bbox.top + bbox.height - height, body, height);
      ctx.globalAlpha = 1;
      ctx.fillRect(middle - Math.floor(wick / 2), y(h[i]), wick, Math.max(1, y(l[i]) - y(h[i])));
      const [top, bottom] = [y(Math.max(o[i], c[i])), y(Math.min(o[i], c[i]))];
      ctx.fillRect(left, Math.round(top), body, Math.max(wick, Math.round(bottom - top)));
    }
    ctx.restore();
  }

  /** Where the page's knowledge begins: nothing to the left of it was seen. */
  #drawBeginning(ctx, bbox, x) {
    if (this.#since === null) return;
    const from = Math.floor(this.#since / this.#width) * this.#width;
    const at = Math.round(x(from - this.#width / 2));
    if (at <= bbox.left) return;
    ctx.fillStyle = ink('--unknown');
    ctx.fillRect(bbox.left, bbox.top, at - bbox.left, bbox.height);
    const text = `seen since ${timeOfDay(1000 * this.#since)}`;
    ctx.font = FONT.replace('11', 11 * devicePixelRatio);
    ctx.fillStyle = ink('--muted');
    ctx.textBaseline = 'top';
    const width = ctx.measureText(text).width + 10 * devicePixelRatio;
    if (at - bbox.left > width) {
      ctx.textAlign = 'right';
      ctx.fillText(text, at - 6 * devicePixelRatio, bbox.top + 6 * devicePixelRatio);
    }
  }

  /** What the candle under the pointer, or the last one, says. */
  #tell() {
    const { t, o, h, l, c, v } = this.#columns;
    const pointed = this.#plot?.cursor.idx ?? null;
    const i = Math.min(pointed ?? t.length, t.length - 1);
    if (i < 0) return setText(this.#readout, NOTHING);
    const price = (value) => fixed(value, this.#decimals);
    const four = `O ${price(o[i])} H ${price(h[i])} L ${price(l[i])} C ${price(c[i])}`;
    const time = pointed === null ? '' : ` at ${timeOfDay(1000 * t[i])}`;
    setText(this.#readout, `${four} V ${fixed(v[i], 3)}${time}`);
  }
}
