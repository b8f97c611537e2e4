"""Watching runs while nobody looks: their alerts, who is told of them, and what is done about them."""
