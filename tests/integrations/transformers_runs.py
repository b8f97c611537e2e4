"""A small model that the Hugging Face Trainer trains; a file of its own, since transformers takes seconds to import.

As a program: two processes, the first of which asks for a stop after step 2.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import torch
from torch.multiprocessing.spawn import start_processes
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

import tuitrain
from tuitrain.integrations.transformers import TuitrainCallback

TOKENS = [{"input_ids": row, "labels": row} for row in torch.arange(256).reshape(16, 16) % 64]


def trainer(tmp_path: Path, *callbacks: TrainerCallback, **arguments: Any) -> Trainer:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    defaults = {
        "output_dir": str(tmp_path / "out"), "max_steps": 6, "logging_steps": 1, "report_to": "none", "use_cpu": True,
        "per_device_train_batch_size": 2, "disable_tqdm": True, "save_strategy": "no",
    }  # fmt: skip
    return Trainer(
        LlamaForCausalLM(config),
        TrainingArguments(**{**defaults, **arguments}),
        train_dataset=TOKENS,
        eval_dataset=TOKENS[:4],
        callbacks=list(callbacks),
    )


class AskAt(TrainerCallback):
    """Leaves a request after step 2, on the first process."""

    def __init__(self, request: str) -> None:
        self.request = request

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 2 and state.is_world_process_zero:
            assert tuitrain.run.path is not None
            (tuitrain.run.path / "control" / self.request).touch()
            # The thread of the run looks for requests five times a second.
            tuitrain.run._requests.poll()


def main(rank: int, port: int) -> None:
    world = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in world.items()})
    made = trainer(Path(), AskAt("stop"), TuitrainCallback(), max_steps=50)
    made.train()
    assert made.state.global_step == 3, made.state.global_step


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start_processes(main, args=(port,), nprocs=2, start_method="fork")
