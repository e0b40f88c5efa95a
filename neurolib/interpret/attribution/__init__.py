"""Which inputs an answer comes from, and whether a map that claims to say so can be believed."""
