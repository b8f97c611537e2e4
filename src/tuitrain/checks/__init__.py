"""Watching runs unattended: their alerts, where these are sent, and what is done about them."""
