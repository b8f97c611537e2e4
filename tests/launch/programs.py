"""Training programs that know nothing of tuitrain, as sources; each prints or writes as the tool that it names."""

NANOGPT = """
import sys, time
print("Overriding: max_iters = 40")
print("tokens per iteration will be: 16,384")
for i in range(int(sys.argv[1])):
    if i % 10 == 0:
        print(f"step {i}: train loss {4 - i / 20:.4f}, val loss {4.2 - i / 20:.4f}")
    print(f"iter {i}: loss {4 - i / 20:.4f}, time 120.50ms, mfu {30 + i / 10:.2f}%")
"""
TQDM = """
from tqdm import tqdm
bar = tqdm(range(1, 21), mininterval=0)
for step in bar:
    bar.set_postfix(loss=f"{3 / step:.4f}", lr="1e-3")
"""
TRAINER = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

class Rows(torch.utils.data.Dataset):
    def __len__(self): return 16
    def __getitem__(self, at): return {"input_ids": torch.arange(8) + at, "labels": torch.arange(8) + at}

model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=16, n_embd=16, n_layer=1, n_head=2))
arguments = TrainingArguments(
    sys.argv[1], max_steps=8, logging_steps=2, per_device_train_batch_size=2, report_to=[], use_cpu=True, save_steps=100
)
Trainer(model, arguments, train_dataset=Rows()).train()
"""
TWO_RANKS = """
import torch, torch.distributed as dist
dist.init_process_group("gloo")
rank = dist.get_rank()
for step in range(1, 6):
    loss = torch.tensor(float(step + rank))
    dist.all_reduce(loss)
    if rank == 0:
        print(f"step {step}: loss {loss.item() / 2:.4f}, lr 1e-3", flush=True)
    dist.barrier()
dist.destroy_process_group()
"""
CSV_WRITER = """
import csv, os, sys
print("step 1 loss 99.0", flush=True)
print("step 2 loss 99.0", flush=True)
os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True)
with open(sys.argv[1], "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["step", "train_loss", "mine/score"])
    for step in range(1, 31):
        writer.writerow([step, 3 / step, step * 2])
        file.flush()
"""
OWN_LOG = """
import os, time
from tuitrain.events import EventWriter, Run, Step
run = os.environ["TUITRAIN_RUN_DIR"]
with EventWriter(run + "/metrics.jsonl") as log:
    log.write(Run(run_id=os.environ["TUITRAIN_RUN_ID"], name="own"))
    for step in range(1, 11):
        log.write(Step(step=step, loss=1.0))
        print(f"step {step}: loss 7.0, other 5", flush=True)
        time.sleep(0.05)
"""
OWN_LOOP = """
import tuitrain
with tuitrain.init(system=False) as run:
    for step in range(3):
        run.log({"loss": 1.0}, step=step)
    print("step 7: loss 7.0", flush=True)
"""
LOCKING = """
import os
from pathlib import Path
from tuitrain.events import EventWriter, Step
from tuitrain.events.lock import exclusive
run = Path(os.environ["TUITRAIN_RUN_DIR"])
with exclusive(run / ".lock", 1):
    for step in range(1, 6):
        print(f"step {step}: loss 7.0", flush=True)
    # The program that started this one reads the lines above meanwhile.
    import time; time.sleep(1)
    with EventWriter(run / "metrics.jsonl") as log:
        log.write(Step(step=1, loss=1.0))
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True: time.sleep(1)
"""
SAVING = """
import signal, sys, time
def stop(*_):
    print("saved", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
while True: time.sleep(1)
"""
CRASHING = """
print("step 1 loss 3.0", flush=True)
print("step 2 loss 2.0", flush=True)
raise ValueError("the batch is empty")
"""
