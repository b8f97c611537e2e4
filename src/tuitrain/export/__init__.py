"""Figures, tables and files in other tools' formats. Nothing heavy is imported before it is needed."""
