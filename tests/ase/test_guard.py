"""A guard over skills: latents under which the character is about to fall give way to others."""

import re

import pytest
import torch
import torch.nn.functional as F

from ase.anchors import Anchors
from ase.guard import Guard, GuardConfig
from ase.symmetry import Mirror

FLOOR = torch.tensor([False, False, False, True])


POINTS = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.8, 0.6, 0.0], [0.0, 0.0, 0.0, 1.0]])


def knowing(danger, margin=0.1, mirrored=(-1, -1, -1, -1), points=POINTS, mirror=None, floor=FLOOR):
    """A guard of four clips that finds ``danger [C]``, or what a function of observations says."""
    here = Anchors(torch.tensor(mirrored), 4, focus=0.9)
    if points is not None:
        here.points.copy_(points)
    guard = Guard(here, floor, 2, mirror, margin)
    guard.danger = (lambda obs: torch.tensor([danger]).expand(len(obs), -1)) if isinstance(danger, list) else lambda obs: danger(obs).sigmoid()
    return guard


def ask(guard, z):
    found, overruled = guard(torch.ones(1, 2), torch.as_tensor(z)[None])
    return [round(x, 3) for x in found[0].tolist()], bool(overruled)


def test_a_dangerous_latent_is_overruled_by_the_safest():
    assert ask(knowing([0.5, 0.2, 0.45, 0.01]), POINTS[0]) == ([0.0, 0.0, 1.0, 0.0], True)
    assert ask(knowing([0.5, 0.41, 0.45, 0.01]), POINTS[0]) == ([0.0, 1.0, 0.0, 0.0], False), "hardly safer"
    assert ask(knowing([0.5, 0.41, 0.45, 0.01], margin=0.05), POINTS[0]) == ([0.0, 0.0, 1.0, 0.0], True)
    assert ask(knowing([0.1, 0.9, 0.9, 0.01]), POINTS[0]) == ([0.0, 1.0, 0.0, 0.0], False)
    assert ask(knowing([0.9, 0.1, 0.1, 0.9]), POINTS[3]) == ([0.0, 0.0, 0.0, 1.0], False), "who may lie is left alone"


def test_a_latent_is_as_far_from_the_anchor_of_the_other_clip():
    z = F.normalize(torch.tensor([0.1, 0.9, 0.0, 0.3]), dim=-1)
    found, overruled = ask(knowing([0.5, 0.2, 0.45, 0.01]), z)
    assert overruled
    assert found == pytest.approx(F.normalize(z + torch.tensor([0.0, -1.0, 1.0, 0.0]), dim=-1).tolist(), abs=1e-3)
    untouched, overruled = ask(knowing([0.2, 0.2, 0.2, 0.2]), z)
    assert not overruled
    assert untouched == [round(x, 3) for x in z.tolist()]


def test_each_of_many_is_guarded_on_its_own():
    guard = knowing(lambda obs: 4 * obs @ torch.tensor([[1.0, -1.0, 0.5, 0.2], [-1.0, 0.5, 1.0, 0.3]]))
    generator = torch.Generator().manual_seed(0)
    obs, z = torch.randn(60, 2, generator=generator), F.normalize(torch.randn(60, 4, generator=generator), dim=-1)
    found, overruled = guard(obs, z)
    assert 10 < int(overruled.sum()) < 50
    for k in range(60):
        alone, whether = guard(obs[[k]], z[[k]])
        assert bool(whether) == bool(overruled[k])
        torch.testing.assert_close(alone[0], found[k])


MIRROR = Mirror(torch.tensor([0, 1]), torch.tensor([-1.0, 1.0]), torch.tensor([0, 1]), torch.tensor([-1.0, 1.0]))


def test_a_guard_is_as_symmetric_as_its_policy():
    """Clips 0 and 1 are mirror images; the network knows of no symmetry."""
    weights = torch.tensor([[1.0, -1.0, 0.5, 0.2], [-1.0, 0.5, 1.0, 0.3]])
    guard = knowing(lambda obs: 4 * obs @ weights, margin=0.3, mirrored=(1, 0, -1, -1), points=None, mirror=MIRROR, floor=torch.zeros(4, dtype=torch.bool))
    generator = torch.Generator().manual_seed(0)
    obs, z = 2 * torch.randn(200, 2, generator=generator), F.normalize(torch.randn(200, 4, generator=generator), dim=-1)
    side = torch.tensor([-1.0, 1.0, 1.0, 1.0])
    here, overruled = guard(obs, z)
    there, twins = guard(MIRROR.obs(obs), z * side)
    assert 20 < int(overruled.sum()) < 180
    assert torch.equal(overruled, twins)
    torch.testing.assert_close(there, here * side)
    assert torch.equal(here[~overruled], z[~overruled])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rounds": 0}, "guard: rounds, steps, updates, last_updates: got 0, 400, 150, 6000; expected at least 1 each"),
        ({"updates": 0}, "guard: rounds, steps, updates, last_updates: got 16, 400, 0, 6000; expected at least 1 each"),
        ({"last_updates": 0}, "guard: rounds, steps, updates, last_updates: got 16, 400, 150, 0; expected at least 1 each"),
        ({"horizon_s": 0.0}, "guard: horizon_s, margin: got 0, 0.12; expected more than 0, and more than 0 and less than 1"),
        ({"margin": 0.0}, "guard: horizon_s, margin: got 2.5, 0; expected more than 0, and more than 0 and less than 1"),
        ({"margin": 1.0}, "guard: horizon_s, margin: got 2.5, 1; expected more than 0, and more than 0 and less than 1"),
    ],
)
def test_settings_are_checked(wrong, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GuardConfig(**wrong)
