"""The trained atlas as an artefact: what leaves the package and works without it."""
