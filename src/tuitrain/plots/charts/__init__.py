"""A plot as lines of text: its curves in cells, with axes and a frame. Pure functions, no terminal."""
