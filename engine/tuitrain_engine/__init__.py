"""The training engine. Started as `python -m tuitrain_engine`, never imported by the application."""
