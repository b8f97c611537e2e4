"""The arithmetic of training: parameters, FLOPs per token, utilisation, memory, GPU peaks, time to a budget."""

from tuitrain.accounting.budget import BudgetTime, time_to_budget
from tuitrain.accounting.flops import FlopsPerToken, achieved_tflops, flops_per_token, mfu
from tuitrain.accounting.memory import MemoryEstimate, estimate_memory
from tuitrain.accounting.parameters import ParameterCounts, count_parameters
from tuitrain.accounting.peaks import GPUS, Gpu, find_gpu, peak_tflops

__all__ = [
    "GPUS",
    "BudgetTime",
    "FlopsPerToken",
    "Gpu",
    "MemoryEstimate",
    "ParameterCounts",
    "achieved_tflops",
    "count_parameters",
    "estimate_memory",
    "find_gpu",
    "flops_per_token",
    "mfu",
    "peak_tflops",
    "time_to_budget",
]
