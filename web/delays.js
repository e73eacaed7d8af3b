// The latency panel: percentiles in a table, and a plot of them over time with a logarithmic scale.
// Shows what latency.js has counted, and says how far clock.js can be trusted.

import { setText, setTitle, span, timeOfDay } from './format.js';
import { HISTORY_S, WINDOW_S } from './latency.js';
import { asSet, axis, ink, makePlot, wholeSteps } from './plot.js';

const HISTORY_LEAST_S = 60;

export class Delays {
  #clock = document.getElementById('clock');
  #brief = document.getElementById('latency-brief');
  #plot;

  constructor() {
    this.#plot = makePlot(document.getElementById('latency-plot'), options(), [[], [], [], []]);
  }

  show(latency, clock, second) {
    const received = latency.received.percentiles(second);
    const painted = latency.painted.percentiles(second);
    for (const name of ['p50', 'p90', 'p99', 'max']) {
      setText(document.getElementById(`received-${name}`), span(received[name]));
      setText(document.getElementById(`painted-${name}`), span(painted[name]));
    }
    setText(this.#brief, `${span(painted.p50)} · ${span(painted.p99)}`);
    const known = Number.isFinite(clock.uncertainty);
    setText(
      this.#clock,
      known ? `last ${WINDOW_S} s; clocks ± ${span(clock.uncertainty)}` : 'comparing clocks…',
    );
    const [offset, uncertainty] = [clock.offset, clock.uncertainty].map((ms) => ms.toFixed(2));
    setTitle(
      this.#clock,
      known
        ? `The server's clock is ahead of this page's by ${offset} ms, give or take ` +
          `${uncertainty} ms; all latencies may be off by as much`
        : '',
    );
    this.#draw(latency.history, second);
  }

  #draw({ t, p50, p99, max }, second) {
    this.#plot.setData([t, max, p99, p50], false);
    const all = [...p50, ...max].filter((ms) => ms !== null).map((ms) => Math.max(ms, 0.1));
    // Whole powers of ten, so that the scale moves seldom.
    const [low, high] = all.length > 0 ? [Math.min(...all), Math.max(...all)] : [1, 100];
    const min = 10 ** Math.floor(Math.log10(low));
    const top = 10 ** Math.ceil(Math.log10(high));
    this.#plot.batch(() => {
      // The plot fills as time goes by, and then moves.
      const from = Math.min(t[0] ?? second, second - HISTORY_LEAST_S);
      this.#plot.setScale('x', { min: Math.max(from, second - HISTORY_S), max: second });
      this.#plot.setScale('y', { min, max: Math.max(top, 10 * min) });
    });
  }
}

function options() {
  const line = (label, colour, width) => ({
    label, stroke: () => ink(colour), width, points: { show: false },
  });
  const times = (_, values) => values.map((t) => timeOfDay(1000 * t));
  return {
    cursor: { show: false },
    padding: [8, 20, 0, 0],
    scales: { x: { range: asSet }, y: { distr: 3, range: asSet } },
    // The last one lies on top.
    series: [
      {}, line('max', '--faint', 1), line('p99', '--second', 1.5), line('p50', '--accent', 2),
    ],
    axes: [
      axis({ size: 24, space: 80, splits: wholeSteps, values: times }),
      axis({ size: 56, values: (_, spans) => spans.map(labelOf) }),
    ],
  };
}

/** Only powers of ten have room for a label. */
function labelOf(ms) {
  const exponent = Math.round(Math.log10(ms));
  const isPower = Math.abs(Math.log10(ms) - exponent) < 1e-6;
  if (!isPower) return '';
  return exponent >= 3 ? `${10 ** (exponent - 3)} s` : `${Number((10 ** exponent).toFixed(1))} ms`;
}
