// What both plots share: colours from the style sheet, axes, and a size that follows the page's.
// Draws with uPlot, which index.html loads as a script of its own.

/** To ask for a colour makes the browser compute all styles that have changed: seldom, then. */
const COLOURS = new Map();

/** A colour of style.css, as it is now: the theme may change while the page is open. */
export function ink(name) {
  let colour = COLOURS.get(name);
  if (!colour) {
    colour = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    COLOURS.set(name, colour);
  }
  return colour;
}

export const FONT = '11px system-ui, sans-serif';

export function axis(more) {
  return {
    stroke: () => ink('--muted'),
    font: FONT,
    ticks: { show: false },
    grid: { stroke: () => ink('--line'), width: 1 },
    ...more,
  };
}

/** Times at whole steps, none of them past the ends, as uPlot's own may be. */
export function wholeSteps(_plot, _axis, min, max, step) {
  const steps = [];
  for (let at = Math.ceil(min / step) * step; at <= max; at += step) steps.push(at);
  return steps;
}

/** For scales whose ends are set by hand. */
export function asSet(_plot, min, max) {
  return [min, max];
}

export function makePlot(host, options, columns) {
  const fit = () => ({
    width: Math.max(120, host.clientWidth), height: Math.max(80, host.clientHeight),
  });
  const plot = new uPlot({ legend: { show: false }, ...fit(), ...options }, columns, host);
  new ResizeObserver(() => plot.setSize(fit())).observe(host);
  for (const query of ['(prefers-color-scheme: dark)', '(prefers-contrast: more)']) {
    matchMedia(query).addEventListener('change', () => {
      COLOURS.clear();
      plot.redraw();
    });
  }
  return plot;
}
