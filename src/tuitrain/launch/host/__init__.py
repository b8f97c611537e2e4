"""Runs on another machine, started from here through `ssh`: what is there, the working tree, the start."""
