"""Shapes, types and initial outputs of the networks."""

import pytest
import torch

from ase.nets import Discriminator, Encoder, Policy, Value

REST = torch.tensor([0.0, 0.5, -1.0, 0.25])


@pytest.mark.parametrize("latent_dim", [0, 3])
@pytest.mark.parametrize("bf16", [False, True])
def test_outputs_have_their_shapes_and_are_float32_also_under_autocast(latent_dim, bf16):
    torch.manual_seed(0)
    obs, z, window = torch.randn(5, 7), torch.randn(5, latent_dim), torch.randn(5, 12)
    policy, value = Policy(7, latent_dim, REST, (16, 8), 0.1), Value(7, latent_dim, (16,))
    disc, encoder = Discriminator(12, (16, 8)), Encoder(12, 6, (16,))
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        found = policy(obs, z), value(obs, z), disc(window), encoder(window)
    assert [tuple(y.shape) for y in found] == [(5, 4), (5,), (5,), (5, 6)]
    assert {y.dtype for y in found} == {torch.float32}


def test_hidden_layers_run_in_bfloat16_but_the_output_layer_does_not():
    torch.manual_seed(0)
    policy = Policy(7, 2, REST, (64,), 0.1)
    obs, z = torch.randn(5, 7), torch.randn(5, 2)
    seen = []
    policy.mlp.hidden[0].register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        coarse = policy(obs, z)
    assert seen == [torch.bfloat16]
    exact = policy(obs, z)
    assert (coarse - exact).abs().max() < 1e-2 * exact.abs().max()
    assert coarse.bfloat16().float().ne(coarse).any(), "an action mean in bfloat16 is too coarse for likelihood ratios"


def test_actions_start_near_rest_and_depend_on_the_latent():
    torch.manual_seed(0)
    policy = Policy(7, 3, REST, (32, 32), 0.1)
    obs, z = torch.randn(50, 7), torch.randn(50, 3)
    mean = policy(obs, z)
    assert (mean - REST).abs().max() < 0.2
    assert (policy(obs, -z) - mean).abs().max() > 1e-3


def test_values_depend_on_the_latent():
    torch.manual_seed(0)
    value = Value(7, 3, (32,))
    obs, z = torch.randn(9, 7), torch.randn(9, 3)
    assert (value(obs, -z) - value(obs, z)).abs().min() > 0


def test_encodings_are_unit_vectors_even_of_large_windows():
    torch.manual_seed(0)
    encoder = Encoder(12, 6, (16,))
    norm = encoder(torch.randn(40, 12) * 100).norm(dim=-1)
    torch.testing.assert_close(norm, torch.ones(40))


def test_a_latent_of_size_zero_changes_nothing():
    torch.manual_seed(0)
    policy, obs = Policy(7, 0, REST, (8,), 0.1), torch.randn(5, 7)
    assert torch.equal(policy(obs, torch.zeros(5, 0)), policy.mlp(obs))
