"""One module per command. Nothing heavy is imported outside of the functions."""
