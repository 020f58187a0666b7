"""A function that streams its result."""

import sys

import gradio as gr


def answer(word):
    yield "function"
    yield f"function {word}"


gr.Interface(answer, gr.Textbox(label="word"), gr.Textbox(label="result"), flagging_mode="never").launch(
    server_name="127.0.0.1", server_port=int(sys.argv[1])
)
