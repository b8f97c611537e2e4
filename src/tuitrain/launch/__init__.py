"""Start, stop, continue and prove runs on this machine; preflight and plans."""

from tuitrain.launch.errors import LaunchError as LaunchError
