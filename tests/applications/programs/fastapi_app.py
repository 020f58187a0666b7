"""A page, a WebSocket and an answer that comes token by token."""

import asyncio

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, StreamingResponse

app = FastAPI()

PAGE = """<!doctype html><link rel="icon" href="data:,"><title>Chat</title>
<input id="text"><button id="send">Send</button><button id="ask">Ask</button><pre></pre>
<script type="module">
const lines = document.querySelector("pre");
const text = document.querySelector("#text");
const opened = new WebSocket(`ws://${location.host}/ws`);
opened.onmessage = (event) => { lines.textContent += event.data + "\\n"; };
const ready = new Promise((open) => { opened.onopen = open; });
document.querySelector("#send").onclick = async () => { await ready; opened.send(text.value); };
document.querySelector("#ask").onclick = () => {
  const stream = new EventSource(`/tokens?of=${text.value}`);
  stream.onmessage = (event) => {
    lines.textContent += event.data + " ";
    if (event.data === "over") stream.close();
  };
};
</script>"""


# The slash at the end: `/chat` is answered by a redirect whose Location is absolute.
@app.get("/chat/")
def page():
    return HTMLResponse(PAGE)


@app.websocket("/ws")
async def echo(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text("echo " + await socket.receive_text())
    except WebSocketDisconnect:
        pass


@app.get("/tokens")
async def tokens(of: str):
    async def answer():
        for token in f"answer to {of} is over".split():
            yield f"data: {token}\n\n"
            await asyncio.sleep(0.02)
        await asyncio.sleep(60)

    return StreamingResponse(answer(), media_type="text/event-stream")
