"""Charts as lines of text: what is plotted, its axes, and how it is drawn into cells. Pure functions, no terminal."""
