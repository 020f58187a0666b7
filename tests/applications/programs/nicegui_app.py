"""An input bound to a label."""

import sys

from nicegui import ui


@ui.page("/")
def page():
    word = ui.input("Word")
    ui.label().bind_text_from(word, "value", lambda value: f"label {value}")


ui.run(host="127.0.0.1", port=int(sys.argv[1]), show=False, reload=False)
