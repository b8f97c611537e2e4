"""Gradient norms and statistics of whole and of sharded parameters, and the size of the update."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tuitrain_engine.gradients import Gradients

SHAPES = {"embedding.token": (7, 3), "blocks.0.up": (3, 5), "blocks.1.up": (3, 5), "head.weight": (7, 3)}


def parameters_with_gradients() -> dict[str, nn.Parameter]:
    """One parameter a block, with gradients, and one without."""
    generator = torch.Generator().manual_seed(1)
    parameters = {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in SHAPES.items()}
    for parameter in parameters.values():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    parameters["head.norm"] = nn.Parameter(torch.zeros(2))
    return parameters


def gradients_of(parameters: dict[str, nn.Parameter]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters.values() if parameter.grad is not None]


def test_statistics_equal_those_of_the_flat_gradient() -> None:
    parameters = parameters_with_gradients()
    measured = Gradients(parameters.items(), n_layers=2).measure()
    flat = torch.cat([gradient.flatten() for gradient in gradients_of(parameters)])
    expected = torch.stack((flat.mean(), flat.std(correction=0), flat.abs().max(), torch.tensor(0.0)))
    torch.testing.assert_close(measured[:4], expected)
    torch.testing.assert_close(measured[4:], torch.stack([gradient.norm() for gradient in gradients_of(parameters)]))


def test_values_that_are_not_finite_are_counted() -> None:
    parameters = parameters_with_gradients()
    with torch.no_grad():
        parameters["embedding.token"].grad[0, 0] = -math.inf
        parameters["blocks.1.up"].grad[1, :2] = math.nan
    measured = Gradients(parameters.items(), n_layers=2).measure()
    assert measured[3] == 3
    assert measured[:3].isnan().all()
    assert math.isfinite(measured[5]) and math.isinf(measured[4])


@pytest.mark.parametrize("limit", [0.01, 1.0, 1e6, math.inf])
def test_clipping_equals_that_of_torch(limit: float) -> None:
    clipped, reference = parameters_with_gradients(), parameters_with_gradients()
    norm = Gradients(clipped.items(), n_layers=2).clip(limit)
    assert torch.equal(norm, torch.nn.utils.clip_grad_norm_(reference.values(), limit))
    assert norm.shape == () and norm.dtype == torch.float32
    assert all(map(torch.equal, gradients_of(clipped), gradients_of(reference)))


def test_scaling_multiplies_every_gradient() -> None:
    ours, before = parameters_with_gradients(), parameters_with_gradients()
    Gradients(ours.items(), n_layers=2).scale(torch.tensor(0.25))
    assert all(torch.equal(a, b / 4) for a, b in zip(gradients_of(ours), gradients_of(before), strict=True))


def test_the_update_is_the_change_since_the_parameters_were_copied() -> None:
    parameters = parameters_with_gradients()
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    gradients = Gradients(parameters.items(), n_layers=2)
    gradients.copy_parameters()
    with torch.no_grad():
        parameters["blocks.0.up"].mul_(0.5)
        parameters["head.weight"].add_(0.1)
        parameters["head.norm"].add_(0.3)
    weights, update = gradients.measure_update().chunk(2)
    torch.testing.assert_close(weights, torch.stack([before[name].norm() for name in SHAPES]))
    head = math.sqrt(21 * 0.1**2 + 2 * 0.3**2)
    torch.testing.assert_close(update, torch.tensor([0.0, before["blocks.0.up"].norm() / 2, 0.0, head]))
