"""Screens: one a module, imported when it is first shown."""
