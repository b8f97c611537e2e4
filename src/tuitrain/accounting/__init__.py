"""The arithmetic of training: parameters, FLOPs per token, utilisation, memory, GPU peaks, time to a budget."""

from tuitrain.accounting.fit import (
    Change,
    choose_micro_batch,
    choose_strategy,
    fitting_changes,
    fitting_sentence,
    size_text,
)
from tuitrain.accounting.flops import BudgetTime, FlopsPerToken, achieved_tflops, flops_per_token, mfu, time_to_budget
from tuitrain.accounting.logits import chunk_rows, dense_logits_bytes, logits_bytes
from tuitrain.accounting.losses import bits_per_byte, generalization_gap, perplexity
from tuitrain.accounting.memory import MOMENTS, Devices, MemoryEstimate, estimate_memory, step_moments
from tuitrain.accounting.pace import RECENT_RECORDS, duration_text, seconds_left
from tuitrain.accounting.parameters import ParameterCounts, count_parameters
from tuitrain.accounting.peaks import GPUS, Gpu, find_gpu, on_cpu, peak_tflops
from tuitrain.accounting.schedule import Schedule, TokenPosition, lr_factor, schedule_text, schedule_warnings
