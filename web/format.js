// Numbers and times as text, and text into the document. Knows no market.
// Invariant: the document is touched only where it differs, so what stands still costs nothing.

const NUMBERS = new Map();

function numberFormat(decimals) {
  let format = NUMBERS.get(decimals);
  if (!format) {
    format = new Intl.NumberFormat('en-US', {
      minimumFractionDigits: decimals, maximumFractionDigits: decimals,
    });
    NUMBERS.set(decimals, format);
  }
  return format;
}

const TIME = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});

/** Stands for a number that is not known. */
export const NOTHING = '–';

/** How many decimals a price or quantity is written with, zeros at its end aside: '0.0100' → 2. */
export function decimalsOf(number) {
  const text = String(number);
  const point = text.indexOf('.');
  if (point < 0) return 0;
  let end = text.length;
  while (text[end - 1] === '0') end -= 1;
  return Math.max(0, end - point - 1);
}

export function fixed(number, decimals) {
  return Number.isFinite(number) ? numberFormat(decimals).format(number) : NOTHING;
}

/** A change with its sign, which colour alone must not tell. */
export function percent(fraction) {
  if (!Number.isFinite(fraction)) return NOTHING;
  const text = numberFormat(2).format(Math.abs(100 * fraction));
  if (text === '0.00') return `${text} %`;
  return `${fraction < 0 ? '−' : '+'}${text} %`;
}

/** The time of day of a moment in milliseconds since 1970. */
export function timeOfDay(ms) {
  return Number.isFinite(ms) ? TIME.format(ms) : NOTHING;
}

/** A span in milliseconds, to three digits or so. */
export function span(ms) {
  if (!Number.isFinite(ms)) return NOTHING;
  if (ms >= 10_000) return `${fixed(ms / 1000, 1)} s`;
  return `${fixed(ms, ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`;
}

export function setText(node, text) {
  // A text node's data is changed in place: textContent would make a new node each time.
  const first = node.firstChild;
  if (!first) node.append(text);
  else if (first.data !== text) first.data = text;
}

export function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

/** A tooltip, or the document's own title. */
export function setTitle(owner, text) {
  if (owner.title !== text) owner.title = text;
}
