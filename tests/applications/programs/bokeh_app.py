"""An input and a line that a callback on the server changes."""

from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Div, TextInput

word = TextInput(title="Word")
line = Div(text="")


def changed(attribute, old, new):
    line.text = f"callback {new}"


word.on_change("value", changed)
curdoc().add_root(column(word, line))
