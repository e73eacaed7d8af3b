// permessage-deflate (RFC 7692) with JavaScript clients: interop.mjs NAME BASE. The names: see run.
//
// Prints `N messages: what was checked` and exits 0, or says what was wrong and exits 1. The
// deadline is the caller's. Invariant: the same messages at every run.

import { connect, createServer } from 'node:net';
import { pipeline } from 'node:stream';
import { evaluateInPage } from './chromium.mjs';

// Of the default offer.
const DEFAULT = { messages: 1000, bytesMax: 128 << 10 };
// Of each other setting: more than the largest window in all.
const SETTING = { messages: 100, bytesMax: 16 << 10 };
// Half of the bytes are noise; what comes back must be clearly less than what was sent.
const WIRE_SHARE_MAX = 0.75;

function check(holds, text) {
  if (!holds) throw new Error(text);
}

/**
 * Sends messages of 16 bytes to `bytesMax` over the web's WebSocket API and compares what comes
 * back. Runs in Node and, sent as text, in a page, so it uses nothing from this file.
 */
function echoAll(socket, send, messages, bytesMax) {
  const IN_FLIGHT_MAX = 16;
  const EDGES = [16, 125, 126, 127, 128, 65535, 65536, 131072].filter((size) => size <= bytesMax);
  let state = 0x2545f491;
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const trade = () =>
    `{"e":"trade","E":1700000${random() % 1e6},"s":"BTCUSDT","p":"6${random() % 1e4}.10"},`;
  const noise = (bytes) => {
    const words = Uint32Array.from({ length: Math.ceil(bytes / 4) }, random);
    return new Uint8Array(words.buffer, 0, bytes);
  };
  const repeated = (piece, length) =>
    piece.repeat(Math.ceil(length / piece.length)).slice(0, length);
  // As many bytes in UTF-8: its last character takes two.
  const text = (body) => `${body.slice(0, -2)}é`;
  const KINDS = [
    (bytes) => text(repeated(Array.from({ length: 20 }, trade).join(''), bytes)),
    noise,
    (bytes) => new TextEncoder().encode(repeated(trade() + trade(), bytes)),
    (bytes) => text(new TextDecoder().decode(noise(bytes).map((byte) => 32 + (byte % 95)))),
    (bytes) => new Uint8Array(bytes),
  ];
  const message = (index) => {
    const uniform = 16 * (bytesMax / 16) ** (random() / 2 ** 32);
    return KINDS[index % KINDS.length](EDGES[index] ?? Math.round(uniform));
  };
  const isSame = (sent, received) => {
    if (typeof sent === 'string' || typeof received === 'string') return sent === received;
    const bytes = new Uint8Array(received);
    return bytes.length === sent.length && bytes.every((byte, place) => byte === sent[place]);
  };

  return new Promise((resolve, reject) => {
    const inFlight = [];
    let sent = 0;
    let received = 0;
    let payloadBytes = 0;
    const fill = () => {
      while (sent < messages && inFlight.length < IN_FLIGHT_MAX) {
        const next = message(sent);
        inFlight.push(next);
        send(socket, next, sent);
        sent += 1;
      }
    };
    socket.binaryType = 'arraybuffer';
    socket.onopen = fill;
    socket.onerror = ({ message: why }) => reject(new Error(why ?? 'the WebSocket failed'));
    socket.onmessage = ({ data }) => {
      const expected = inFlight.shift();
      if (expected === undefined || !isSame(expected, data)) {
        reject(new Error(`message ${received} of ${expected?.length} came back changed`));
        socket.close();
        return;
      }
      received += 1;
      // With its last character, a text is one byte longer than its length.
      payloadBytes += expected.length + (typeof expected === 'string' ? 1 : 0);
      if (received === messages) socket.close(1000);
      else fill();
    };
    socket.onclose = ({ code, wasClean }) => {
      if (received === messages && code === 1000 && wasClean) {
        resolve({ payloadBytes, extensions: socket.extensions });
      } else {
        reject(new Error(`closed with ${code} after ${received} messages`));
      }
    };
  });
}

/** The answer has these parameters, in any order, and no other. */
function checkAnswer(answer, parameters, offer) {
  const canonical = (parts) => parts.map((part) => part.trim()).sort().join('; ');
  const wanted = canonical(['permessage-deflate', ...parameters]);
  check(canonical((answer ?? '').split(';')) === wanted, `${offer} was answered by: ${answer}`);
}

function summary({ messages, payloadBytes, wireBytes, offers }) {
  const share = wireBytes / payloadBytes;
  check(share < WIRE_SHARE_MAX, `${payloadBytes} bytes came back in ${wireBytes} on the wire`);
  const percent = `${Math.round(100 * share)}%`;
  return `${messages} messages: ${offers}, payloads, ${percent} of the bytes on the wire, close`;
}

// --- ws -----------------------------------------------------------------------------------------

/** One connection; returns how many bytes came back, and in how many on the wire. */
async function wsEchoAll(Socket, base, options, { messages, bytesMax }) {
  const socket = new Socket(base, { perMessageDeflate: { threshold: 0, ...options } });
  let response;
  socket.on('upgrade', (head) => {
    response = head;
  });
  const { payloadBytes } = await echoAll(socket, wsSend, messages, bytesMax);
  checkAnswer(response.headers['sec-websocket-extensions'], wsAnswer(options),
    JSON.stringify(options));
  return { payloadBytes, wireBytes: response.socket.bytesRead };
}

/** Every seventh message goes in three fragments. */
function wsSend(socket, message, index) {
  if (index % 7 === 0) {
    const third = Math.floor(message.length / 3);
    const options = { binary: typeof message !== 'string', fin: false };
    socket.send(message.slice(0, third), options);
    socket.send(message.slice(third, 2 * third), options);
    socket.send(message.slice(2 * third), { ...options, fin: true });
  } else {
    socket.send(message);
  }
}

/** The parameters that accept an offer (RFC 7692 §7.1). */
function wsAnswer(options) {
  const { serverMaxWindowBits, clientMaxWindowBits } = options;
  const parameters = [];
  if (options.serverNoContextTakeover) parameters.push('server_no_context_takeover');
  if (options.clientNoContextTakeover) parameters.push('client_no_context_takeover');
  if (serverMaxWindowBits) parameters.push(`server_max_window_bits=${serverMaxWindowBits}`);
  if (typeof clientMaxWindowBits === 'number') {
    parameters.push(`client_max_window_bits=${clientMaxWindowBits}`);
  }
  return parameters;
}

async function ws(base) {
  const { default: Socket } = await import('ws');
  const counted = await wsEchoAll(Socket, base, {}, DEFAULT);
  return summary({ ...DEFAULT, ...counted, offers: 'its default offer' });
}

/** Every pair of windows, offered or not, with these contexts. */
async function wsWindows(base, contexts) {
  const { default: Socket } = await import('ws');
  const WINDOWS = [8, 9, 10, 11, 12, 13, 14, 15];
  const all = { messages: 0, payloadBytes: 0, wireBytes: 0, connections: 0 };
  for (const serverMaxWindowBits of [undefined, ...WINDOWS]) {
    for (const clientMaxWindowBits of [false, true, ...WINDOWS]) {
      const options = { ...contexts, serverMaxWindowBits, clientMaxWindowBits };
      const counted = await wsEchoAll(Socket, base, options, SETTING);
      all.messages += SETTING.messages;
      all.payloadBytes += counted.payloadBytes;
      all.wireBytes += counted.wireBytes;
      all.connections += 1;
    }
  }
  return summary({ ...all, offers: `${all.connections} offers` });
}

// --- Chromium: what it offers is not the page's to choose -------------------------------------

async function chromium(base) {
  const { hostname, port } = new URL(base);
  const { relay, wireBytes } = await countingRelay(hostname, port);
  try {
    const url = JSON.stringify(`ws://127.0.0.1:${relay.address().port}`);
    const send = '(socket, message) => socket.send(message)';
    const { messages, bytesMax } = DEFAULT;
    const script = `(${echoAll})(new WebSocket(${url}), ${send}, ${messages}, ${bytesMax})`;
    const { payloadBytes, extensions } = await evaluateInPage(script);
    checkAnswer(extensions, [], "Chromium's offer");
    return summary({ messages, payloadBytes, wireBytes: wireBytes(), offers: 'its only offer' });
  } finally {
    relay.close();
  }
}

/** A page cannot count bytes on the wire, so they pass through here. */
async function countingRelay(host, port) {
  const upstreams = [];
  const relay = createServer((downstream) => {
    const upstream = connect(port, host);
    upstreams.push(upstream);
    // How a connection ends is the two ends' matter: they check it.
    pipeline(downstream, upstream, () => {});
    pipeline(upstream, downstream, () => {});
  });
  await new Promise((resolve) => relay.listen(0, '127.0.0.1', resolve));
  return { relay, wireBytes: () => upstreams.reduce((sum, socket) => sum + socket.bytesRead, 0) };
}

const CLIENTS = {
  ws,
  'ws-windows': (base) => wsWindows(base, {}),
  'ws-no-server-context': (base) => wsWindows(base, { serverNoContextTakeover: true }),
  'ws-no-client-context': (base) => wsWindows(base, { clientNoContextTakeover: true }),
  'ws-no-context': (base) =>
    wsWindows(base, { serverNoContextTakeover: true, clientNoContextTakeover: true }),
  chromium,
};

const [name, base] = process.argv.slice(2);
try {
  console.log(await CLIENTS[name](base));
  process.exit(0);
} catch (error) {
  console.log(`failed: ${error.message}`);
  process.exit(1);
}
