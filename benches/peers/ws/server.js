// The server on ws: node server.js PORT echo|broadcast

import { WebSocketServer } from "ws";

const [port, task] = process.argv.slice(2);
if (!/^\d+$/.test(port) || !["echo", "broadcast"].includes(task)) {
  console.error("two arguments are needed: PORT echo|broadcast");
  process.exit(2);
}

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(port),
  perMessageDeflate: false,
  maxPayload: 16 * 1024 * 1024,
});

server.on("connection", (socket, request) => {
  request.socket.setNoDelay(true);
  // An error ends the connection and nothing else.
  socket.on("error", () => {});
  socket.on("message", (data, binary) => {
    if (task === "echo") {
      socket.send(data, { binary });
      return;
    }
    for (const client of server.clients) {
      client.send(data, { binary });
    }
  });
});
