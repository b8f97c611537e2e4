"""Training frameworks: one module each, which its users import; `docs/own-loop.md` has the lines."""
