"""GPU peaks: every row of the table, and similar names that differ."""

from __future__ import annotations

import pytest

from tuitrain.accounting import GPUS, find_gpu, peak_tflops

PRODUCTS = {
    "NVIDIA A100-SXM4-80GB": 312,
    "NVIDIA A100-PCIE-40GB": 312,
    "NVIDIA A100 80GB PCIe": 312,
    "A100": 312,
    "NVIDIA A40": 149.7,
    "NVIDIA RTX A6000": 154.8,
    "NVIDIA GeForce RTX 3090": 71,
    "NVIDIA GeForce RTX 4090": 165.2,
    "NVIDIA GeForce RTX 5090": 209.5,
    "NVIDIA RTX 6000 Ada Generation": 364,
    "NVIDIA L40S": 362,
    "NVIDIA L40": 181.05,
    "NVIDIA L4": 121,
    "NVIDIA A10G": 70,
    "NVIDIA H20": 148,
    "NVIDIA H20-3e": 148,
    "NVIDIA H800": 989,
    "NVIDIA H800 PCIe": 756,
    "NVIDIA B300 SXM6 AC": 2250,
    "NVIDIA H100 80GB HBM3": 989,
    "NVIDIA H100 NVL": 835,
    "NVIDIA H100 PCIe": 756,
    "NVIDIA H200": 989,
    "NVIDIA H200 NVL": 836,
    "NVIDIA B200": 2250,
    "NVIDIA GB200": 2500,
    "AMD Instinct MI300X": 1307,
    "AMD Instinct MI325X": 1307,
}
UNKNOWN = [
    "NVIDIA L40G", "NVIDIA L20", "NVIDIA A10", "NVIDIA A1000", "NVIDIA H2000", "NVIDIA GB300", "Tesla T4", "RTX 4090 D",
    "A100X", "cpu", "",
]  # fmt: skip


@pytest.mark.parametrize("product, peak", PRODUCTS.items())
def test_product_names_have_their_peaks(product: str, peak: float) -> None:
    assert peak_tflops(product, "bfloat16") == peak


@pytest.mark.parametrize("product", UNKNOWN)
def test_an_unknown_gpu_has_no_peak(product: str) -> None:
    assert find_gpu(product) is None
    assert peak_tflops(product, "bfloat16") is None


def test_every_gpu_is_identified_by_its_name() -> None:
    for gpu in GPUS:
        peaks = find_gpu(gpu.name)
        assert peaks is not None and peaks.bf16_tflops == gpu.bf16_tflops


def test_an_l40s_is_not_an_a100() -> None:
    gpu = find_gpu("NVIDIA L40S")
    assert gpu is not None and gpu.name == "L40S"


def test_float32_has_no_peak_in_the_table() -> None:
    assert peak_tflops("NVIDIA H100 80GB HBM3", "float32") is None


def test_memory_distinguishes_the_two_a100() -> None:
    small, large = find_gpu("NVIDIA A100-SXM4-40GB"), find_gpu("NVIDIA A100-SXM4-80GB")
    assert small is not None and large is not None and small.memory_gb < large.memory_gb / 1.9
