"""Sphinx: leave out thebe, which would run cells on a server that a static book does not have.

Jupyter Book adds it to every book; its script comes from another host and is declared twice.
"""


def setup(app):
    """Disconnect what the thebe extension connected, and drop the style that it would have copied."""
    for listeners in app.events.listeners.values():
        for listener in list(listeners):
            if listener.handler.__module__.startswith("sphinx_thebe"):
                app.disconnect(listener.id)
    styles = app.registry.css_files
    styles[:] = [style for style in styles if style[0] != "sphinx-thebe.css"]
    return {"parallel_read_safe": True, "parallel_write_safe": True}
