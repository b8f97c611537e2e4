"""The section of a configuration about files that are made of the log while the run goes on."""

from __future__ import annotations

from pydantic import Field

from tuitrain.config.sections import Section


class ExportConfig(Section):
    """Files made of the log during the run, by a process beside the engine."""

    plots_every: int = Field(default=0, ge=0)
    """Steps after which figures/latest.png in the run directory is drawn again, at the lowest priority; also at the
    end of the run. 0: never."""
