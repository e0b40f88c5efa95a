"""Sphinx: leave out what a static page does not use.

Thebe would run cells on a server that this book does not have; Jupyter Book adds it to every book,
and its script comes from another host and is declared twice. Plotly has nearly 5 MB.
"""


def without_plotly(app, page, template, context, doctree):
    """Drop plotly.js from a page that draws nothing with it."""
    if "plotly-graph-div" not in context.get("body", ""):
        scripts = context["script_files"]
        context["script_files"] = [file for file in scripts if "plotly.min.js" not in str(file)]


def setup(app):
    """Disconnect what the thebe extension connected, and drop the style that it would have copied."""
    for listeners in app.events.listeners.values():
        for listener in list(listeners):
            if listener.handler.__module__.startswith("sphinx_thebe"):
                app.disconnect(listener.id)
    styles = app.registry.css_files
    styles[:] = [style for style in styles if style[0] != "sphinx-thebe.css"]
    app.connect("html-page-context", without_plotly)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
