"""A run on disk: its directory, its status, its growing log, its columns of numbers."""

from tuitrain.events.layout import RunMetadata, new_run_id
from tuitrain.events.lock import lock_held
from tuitrain.runs.columns import Columns, FloatArray
from tuitrain.runs.discover import RunNotFoundError, command_for, find_run, find_runs, list_runs, one_of
from tuitrain.runs.follow import Batch, Follower, LogFollower
from tuitrain.runs.history import RunHistory
from tuitrain.runs.layout import RunDirectory, create_run_directory
from tuitrain.runs.loading import drain, load_histories, load_history, open_follower
from tuitrain.runs.snapshot import RunSnapshot, SnapshotReader, read_snapshot
from tuitrain.runs.status import Status, derive_status
from tuitrain.runs.stream import StreamFollower
from tuitrain.settings import runs_directory
