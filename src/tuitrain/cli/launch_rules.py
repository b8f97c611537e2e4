"""Which options of `launch` go together.

The words of these rules: `command`, `sweep` or `run`, what is launched, and `terminal`.
"""

from __future__ import annotations

from tuitrain.cli.rules import BY_HAND, SKIP_NEEDS_RETRIES, Rule

_NOT_OF_A_COMMAND = "{}: only for the engine's own configurations, not for a command."
_NOT_OF_A_SWEEP = "{}: not for a sweep, whose runs are queued."
_NEEDS_A_SWEEP = "{} needs a sweep: several values of a key, as in optim.lr=1e-4,3e-4."

RULES = (
    Rule("--partition --account --time --sbatch --template", "{}: only with --slurm.", unless="--slurm"),
    Rule("--smoke --queue --retries --node-rank --rendezvous --min-nodes", "{}: not with --slurm.", where="--slurm"),
    Rule("--nodes", "{} needs --slurm, or --node-rank and --rendezvous on each of them.", unless="--slurm --node-rank"),
    *BY_HAND,
    Rule("--smoke --queue --host", "{}: not with --node-rank.", where="--node-rank"),
    Rule("--detach --foreground --watch --dry-run --smoke --queue", "{} exclude each other.", most=1),
    Rule("--watch", "{} needs a terminal; without one `launch` prints the console output of the run.",
         unless="terminal"),
    SKIP_NEEDS_RETRIES,
    Rule("--halving-factor --first-rung", "{}: only with --halving.", unless="--halving"),
    Rule("--install --sync --no-sync --tmux", "{}: only with --host.", unless="--host"),
    Rule("--sync --no-sync", "{} exclude each other.", most=1),
    # A command.
    Rule("--gpus", "{}: only with --queue for a command, which starts when so many are free.",
         where="command", unless="--queue --slurm"),
    Rule("--smoke --strategy --retries --random --halving", _NOT_OF_A_COMMAND, where="command"),
    Rule("--dry-run", _NOT_OF_A_COMMAND, where="command", unless="--slurm"),
    Rule("--node-rank", "{}: not for a command, whose own launcher starts it on several nodes.", where="command"),
    Rule("--log --grace --map --set", "{}: only for a command after `--`.", unless="command"),
    # A sweep. That of another machine is queued there, and this command always returns then.
    Rule("--detach --foreground --watch", _NOT_OF_A_SWEEP, where="sweep", unless="--host"),
    Rule("--smoke --node-rank", _NOT_OF_A_SWEEP, where="sweep"),
    Rule("--dry-run", _NOT_OF_A_SWEEP, where="sweep", unless="--slurm"),
    Rule("--halving", "{}: not with --slurm, which starts the runs of a sweep as it can.", where="sweep --slurm"),
    Rule("--random", _NEEDS_A_SWEEP, where="run"),
    Rule("--halving", _NEEDS_A_SWEEP, where="run"),
)  # fmt: skip
