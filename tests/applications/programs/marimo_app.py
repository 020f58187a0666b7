import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    word = mo.ui.text(value="nothing", label="Word")
    word
    return mo, word


@app.cell
def _(mo, word):
    mo.md(f"cell {word.value}")
    return


if __name__ == "__main__":
    app.run()
