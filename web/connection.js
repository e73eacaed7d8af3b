// One WebSocket to the server that the page came from, opened again whenever it ends.
// Knows control messages and envelopes, not what payloads mean.
// Invariant: there is at most one socket whose events are heeded, and after each opening it is
// subscribed to exactly what is wanted.

import { isLossless } from './streams.js';

/** Waits between attempts double up to the greatest; each is cut by up to a half, at random, so
 *  that the pages of a server that restarts do not all come back in the same moment. */
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 5000;
/** A connection that has lasted this long was a good one: the next wait is short again. */
const GOOD_AFTER_MS = 10_000;
/** An attempt, or the answer to a question, that takes longer is given up. */
const ANSWER_MAX_MS = 5000;
/** Clients may say five things a second: a change of subscriptions is two of them. */
const CHANGE_EVERY_MS = 500;
/** After so long without an event the server is asked whether it is still there. */
const PROBE_AFTER_MS = 10_000;
/** Close 1013, "try again later". */
const TRY_AGAIN_LATER = 1013;

export class Connection {
  /** Events in lossless streams that never came, and how often some were missing. */
  missed = 0;
  gaps = 0;
  /** Events of other streams that a newer one has taken the place of. */
  conflated = 0;
  /** 'connecting', 'open', or 'waiting' until `retryAt`; `why` it is not open any more. */
  phase = 'connecting';
  why = '';
  retryAt = 0;
  /** When the last event came, in milliseconds of performance.now(), or nothing yet. */
  lastEventAt = null;

  #url;
  #onEvent;
  #onPhase;
  #socket = null;
  #failures = 0;
  #openedAt = 0;
  #timer = 0;
  #wanted = new Set();
  #subscribed = new Set();
  #subscribing = new Map();
  #changeTimer = 0;
  #changedAt = -Infinity;
  #nextId = 1;
  #unanswered = null;
  #seqs = new Map();
  #isStopping = false;

  /** `onEvent(stream, data, ts, isNew, receivedAt)`; `ts` in milliseconds since 1970. */
  constructor(url, onEvent, onPhase) {
    this.#url = url;
    this.#onEvent = onEvent;
    this.#onPhase = onPhase;
    setInterval(() => this.#probe(), 1000);
  }

  /** The streams to be subscribed to from now on. */
  want(streams) {
    this.#wanted = streams;
    this.#changeSoon();
  }

  /** Connects at once, unless it is connected or about to be. */
  connectNow() {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  #connect() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#isStopping = false;
    this.#enter('connecting', this.why);
    this.#timer = setTimeout(() => this.#giveUp('no answer'), ANSWER_MAX_MS);
    socket.onopen = () => this.#opened();
    socket.onmessage = (message) => this.#heard(message.data);
    // Every error is followed by a close, which says more.
    socket.onclose = (close) => this.#ended(close);
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#openedAt = performance.now();
    this.lastEventAt = null;
    this.#subscribed = new Set();
    this.#subscribing.clear();
    this.#seqs.clear();
    this.#unanswered = null;
    // Before any event, so that all of them have a number and a time.
    this.#say('SET_PROPERTY', ['sequence', true]);
    this.#change();
    this.#enter('open', '');
  }

  #ended({ code, reason }) {
    let why = reason || `close code ${code}`;
    // 1006 is the browser's: TCP ended, or there was nobody to connect to.
    if (code === 1006) why = this.phase === 'open' ? 'the connection was lost' : 'no connection';
    if (this.#isStopping) why = 'the server is stopping';
    this.#waitToRetry(why, code === TRY_AGAIN_LATER ? RETRY_MAX_MS : 0);
  }

  #giveUp(why) {
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#waitToRetry(why, 0);
  }

  #waitToRetry(why, leastMs) {
    clearTimeout(this.#timer);
    clearTimeout(this.#changeTimer);
    const wasGood = this.phase === 'open' && performance.now() - this.#openedAt > GOOD_AFTER_MS;
    this.#failures = wasGood ? 0 : this.#failures + 1;
    const most = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(this.#failures, 10));
    const wait = Math.max(leastMs, most * (0.5 + 0.5 * Math.random()));
    this.#socket = null;
    this.retryAt = performance.now() + wait;
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#enter('waiting', why);
  }

  #enter(phase, why) {
    this.phase = phase;
    this.why = why;
    this.#onPhase();
  }

  #heard(text) {
    const receivedAt = performance.now();
    const message = JSON.parse(text);
    if (message.stream === '!serverShutdown') {
      this.#isStopping = true;
    } else if (message.stream) {
      this.lastEventAt = receivedAt;
      // A double holds nanoseconds since 1970 to within 128 of them, which is fine enough here.
      const ts = message.ts / 1e6;
      this.#onEvent(message.stream, message.data, ts, this.#count(message), receivedAt);
    } else {
      this.#answered(message.id);
    }
  }

  #answered(id) {
    if (id === this.#unanswered?.id) this.#unanswered = null;
    // The answer comes before the first event: what passed between two subscriptions is no gap.
    for (const stream of this.#subscribing.get(id) ?? []) this.#seqs.delete(stream);
    this.#subscribing.delete(id);
  }

  /** Whether the event is news: the first one of a state stream may be older than the
   *  subscription. */
  #count({ stream, seq }) {
    const last = this.#seqs.get(stream);
    this.#seqs.set(stream, seq);
    if (last === undefined) return isLossless(stream);
    const missing = seq - last - 1;
    if (!isLossless(stream)) {
      this.conflated += missing;
    } else if (missing > 0) {
      this.missed += missing;
      this.gaps += 1;
    }
    return true;
  }

  #changeSoon() {
    clearTimeout(this.#changeTimer);
    const wait = Math.max(0, this.#changedAt + CHANGE_EVERY_MS - performance.now());
    this.#changeTimer = setTimeout(() => this.#change(), wait);
  }

  #change() {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const gone = [...this.#subscribed].filter((stream) => !this.#wanted.has(stream));
    const come = [...this.#wanted].filter((stream) => !this.#subscribed.has(stream));
    if (gone.length > 0) this.#say('UNSUBSCRIBE', gone);
    if (come.length > 0) this.#subscribing.set(this.#say('SUBSCRIBE', come), come);
    if (gone.length + come.length > 0) this.#changedAt = performance.now();
    this.#subscribed = new Set(this.#wanted);
  }

  /** Tells a silent feed from a connection that is dead without knowing it. */
  #probe() {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const now = performance.now();
    if (this.#unanswered) {
      if (now - this.#unanswered.at > ANSWER_MAX_MS) this.#giveUp('the server does not answer');
    } else if (now - (this.lastEventAt ?? this.#openedAt) > PROBE_AFTER_MS) {
      this.#unanswered = { id: this.#say('GET_PROPERTY', ['combined']), at: now };
    }
  }

  #say(method, params) {
    const id = this.#nextId;
    this.#nextId += 1;
    this.#socket.send(JSON.stringify({ method, params, id }));
    return id;
  }
}
