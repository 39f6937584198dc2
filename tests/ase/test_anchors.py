"""Every clip has an equal part of the sphere, and mirror images have mirrored parts."""

import pytest
import torch

from ase.anchors import Anchors
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


def test_with_more_clips_than_dimensions_every_clip_still_has_a_cell():
    anchors = Anchors(torch.full((30,), -1), 6)
    ids = torch.arange(30)
    assert torch.equal(anchors.cell(anchors.sample(ids, generator())), ids)
