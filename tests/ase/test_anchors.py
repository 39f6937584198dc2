"""Every clip has an equal part of the sphere, and mirror images have mirrored parts."""

import math

import pytest
import torch

from ase.anchors import Anchors, spread
from ase.latents import sample_latents

PAIRS = torch.tensor([1, 0, -1, 4, 3])  # two pairs and a clip without a mirror image


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_anchors_are_unit_vectors_and_those_of_a_pair_differ_in_the_first_component_alone():
    points = Anchors(PAIRS, 8).points
    torch.testing.assert_close(points.norm(dim=-1), torch.ones(5))
    for k, other in enumerate(PAIRS.tolist()):
        if other >= 0:
            assert torch.equal(points[k, 1:], points[other, 1:])
            assert points[k, 0] == -points[other, 0] != 0
    assert points[2, 0] == 0
    rest = torch.nn.functional.normalize(points[[0, 2, 3], 1:], dim=-1)
    torch.testing.assert_close(rest @ rest.t(), torch.eye(3), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("pairs", "dim"), [([1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12], 16), ([-1] * 4, 16), ([1, 0] + [-1] * 0, 3)])
def test_cells_tile_the_sphere_evenly(pairs, dim):
    anchors = Anchors(torch.tensor(pairs), dim)
    counts = anchors.cell(sample_latents(40_000, dim, generator())).bincount(minlength=len(pairs)).float() / 40_000
    torch.testing.assert_close(counts, torch.full((len(pairs),), 1 / len(pairs)), rtol=0.1, atol=0)


def test_samples_are_unit_vectors_of_their_cells_and_fill_them():
    anchors, ids = Anchors(PAIRS, 8), torch.arange(3000) % 5
    random = generator()
    z = torch.cat([anchors.sample(part, random) for part in ids.split(50)])
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(3000))
    assert torch.equal(anchors.cell(z), ids)
    uniform = sample_latents(20_000, 8, generator(1))
    within = uniform[anchors.cell(uniform) == 2]
    mine = z[ids == 2]
    torch.testing.assert_close((mine @ anchors.points[2]).mean(), (within @ anchors.points[2]).mean(), rtol=0, atol=0.03)
    torch.testing.assert_close((mine @ anchors.points[2]).std(), (within @ anchors.points[2]).std(), rtol=0, atol=0.03)


def test_a_cell_is_mirrored_with_its_clip():
    anchors = Anchors(PAIRS, 8)
    z = anchors.sample(torch.full((100,), 3), generator())
    z[:, 0] = -z[:, 0]
    assert (anchors.cell(z) == 4).all()


def test_directions_are_at_right_angles_then_opposite_then_any():
    known = torch.nn.functional.normalize(torch.tensor([[1.0, 2.0, 2.0, 0.0], [2.0, 1.0, -2.0, 0.0]]), dim=-1)
    new = spread(known, 8)
    torch.testing.assert_close(new.norm(dim=-1), torch.ones(8))
    torch.testing.assert_close(torch.cat((known, new[:2])) @ torch.cat((known, new[:2])).t(), torch.eye(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(new[2:6], torch.cat((-new[:2], -known)))
    assert len({tuple(row) for row in new.tolist()}) == 8
    assert torch.equal(new, spread(known, 8)), "the same each time"


def test_directions_are_told_apart_however_many_there_are_and_however_often_some_are_added():
    known = torch.zeros(0, 15)
    for count in (10, 21, 20):
        known = torch.cat((known, spread(known, count)))
        closest = (known @ known.t() - 2 * torch.eye(len(known))).max()
        assert closest < 0.6, f"{len(known)} directions, two of which have a cosine of {closest:.2f}"


def test_with_more_clips_than_dimensions_every_clip_still_has_a_cell():
    anchors = Anchors(torch.full((30,), -1), 6)
    ids = torch.arange(30)
    assert torch.equal(anchors.cell(anchors.sample(ids, generator())), ids)


def test_focused_latents_lie_near_the_anchor_of_their_clip():
    """``normalize(f a + (1 - f) u)``: for u at right angles to a the cosine with a is f / sqrt(f² + (1 - f)²)."""
    focus, dim = 0.6, 16
    anchors = Anchors(torch.tensor([1, 0, 3, 2, -1]), dim, focus=focus)
    ids = torch.arange(4000) % 5
    z = anchors.sample(ids, generator())
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(4000))
    near = (z * anchors.points[ids]).sum(-1)
    assert near.mean().item() == pytest.approx(focus / math.hypot(focus, 1 - focus), abs=0.02)
    assert near.std() > 0.02, "they still differ from each other"
    assert (anchors.cell(z) == ids).float().mean() > 0.99
    drawn = anchors.draw(20_000, generator=generator(1))
    shares = anchors.cell(drawn).bincount(minlength=5) / 20_000
    torch.testing.assert_close(shares, torch.full((5,), 0.2), rtol=0, atol=0.01)
    assert (drawn @ anchors.points.t()).amax(-1).mean().item() == pytest.approx(float(near.mean()), abs=0.02)


def test_focused_latents_can_be_drawn_by_the_clips_weights():
    anchors = Anchors(PAIRS, 8, focus=0.9)
    drawn = anchors.draw(20_000, generator=generator(), weights=torch.tensor([4.0, 0.0, 3.0, 2.0, 1.0]))
    shares = anchors.cell(drawn).bincount(minlength=5) / 20_000
    torch.testing.assert_close(shares, torch.tensor([0.4, 0.0, 0.3, 0.2, 0.1]), rtol=0, atol=0.015)


def test_without_focus_random_latents_are_uniform_on_the_sphere():
    drawn = Anchors(PAIRS, 8).draw(1000, generator=generator())
    assert torch.equal(drawn, sample_latents(1000, 8, generator()))


def test_full_focus_gives_the_anchors_themselves():
    anchors = Anchors(PAIRS, 8, focus=1.0)
    ids = torch.arange(5)
    torch.testing.assert_close(anchors.sample(ids, generator()), anchors.points[ids])
