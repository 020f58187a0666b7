// A page with Socket.IO's own client, which begins with long polling.

const { createServer } = require("node:http");
const { Server } = require("socket.io");

const PAGE = `<!doctype html><link rel="icon" href="data:,"><title>Socket.IO</title>
<input id="text"><button id="send">Send</button><pre></pre>
<script src="/socket.io/socket.io.js"></script>
<script>
const say = (line) => { document.querySelector("pre").textContent += line + "\\n"; };
const socket = io();
socket.on("bytes", (bytes) => say("bytes " + new TextDecoder().decode(bytes)));
document.querySelector("#send").onclick = () => {
  const text = document.querySelector("#text").value;
  socket.emit("hello", text, (answer) => say(answer));
  socket.emit("bytes", new TextEncoder().encode(text));
};
</script>`;

const server = createServer((request, response) => {
  response.setHeader("content-type", "text/html");
  response.end(PAGE);
});
new Server(server).on("connection", (socket) => {
  socket.on("hello", (name, acknowledge) => acknowledge(`acknowledged ${name}`));
  socket.on("bytes", (bytes) => socket.emit("bytes", Buffer.from(bytes).reverse()));
});
server.listen(Number(process.argv[2]), "127.0.0.1");
