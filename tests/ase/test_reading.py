"""The encoder that is taught once more at the end."""

import pytest
import torch
import torch.nn.functional as F

from ase.anchors import Anchors
from ase.reading import ReadConfig, learn_to_read
from tests.ase.styles import WINDOW, make_style
from tests.ase.toys import Demonstrations


def acted(anchors, n=4000, seed=0):
    """Latents ``[n, 4]`` of two clips' cells and windows ``[n, 2, 3]`` that tell them: the clip by a large difference, the latent within its cell by small ones."""
    generator = torch.Generator().manual_seed(seed)
    clips = torch.arange(n) % 2
    z = anchors.sample(clips, generator)
    windows = (2.0 * clips[:, None] - 1).expand(n, 6).clone()
    windows[:, :4] += 0.2 * (z - anchors.points[clips])
    return windows.view(n, *WINDOW), z


def clips_alone(weight, n=400):
    """An encoder taught on windows of nobody's latents and on two clips, with ``weight``; what it reads of the clips, ``[n, 4]``, and the clips ``[n]``."""
    anchors = Anchors(torch.tensor([-1, -1]), 4)
    style = make_style(latent_dim=4, anchors=anchors, anchor_weight=weight)
    clips = torch.arange(n) % 2
    demos = Demonstrations((2.0 * clips[:, None, None] - 1).expand(n, *WINDOW).clone())
    demos.clips = clips
    generator = torch.Generator().manual_seed(0)
    noise = 10 + torch.randn(n, 6, generator=generator)
    learn_to_read(style, noise, F.normalize(torch.randn(n, 4, generator=generator), dim=-1), demos, 100, generator)
    return anchors.cell(style.encode(demos.windows)), clips


def test_it_reads_what_differs_little_within_a_cell():
    anchors = Anchors(torch.tensor([-1, -1]), 4)
    style = make_style(latent_dim=4, anchors=anchors, anchor_weight=0.0)
    windows, z = acted(anchors)
    seen = style.see(windows).half()
    told = learn_to_read(style, seen, z, Demonstrations(windows), 1500, torch.Generator().manual_seed(0))
    others, z = acted(anchors, seed=1)
    cosine = (style.encode(others) * z).sum(-1).mean()
    coarse = (anchors.points[anchors.cell(z)] * z).sum(-1).mean()
    assert coarse < 0.9, "who only knew the cell"
    assert cosine > 0.97
    assert told == pytest.approx(float(cosine), abs=0.02)


def test_it_reads_the_clips_as_latents_of_their_cells():
    cells, clips = clips_alone(weight=1.0)
    assert (cells == clips).float().mean() > 0.95
    cells, clips = clips_alone(weight=0.0)
    assert (cells == clips).float().mean() < 0.8, "nothing told it"


def test_nothing_else_of_the_style_is_taught():
    anchors = Anchors(torch.tensor([-1, -1]), 4)
    style = make_style(latent_dim=4, anchors=anchors)
    before = {key: value.clone() for key, value in style.state_dict().items()}
    windows, z = acted(anchors, 100)
    demos = Demonstrations(windows)
    demos.clips = torch.arange(100) % 2
    learn_to_read(style, style.see(windows), z, demos, 3, torch.Generator().manual_seed(0))
    changed = {key.split(".")[0] for key, value in style.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"encoder"}


@pytest.mark.parametrize("wrong", [{"windows": -1}, {"seconds": 0.0}, {"updates": 0}])
def test_what_cannot_be_is_named(wrong):
    with pytest.raises(ValueError, match=r"^read: got windows .*; expected at least 0, more than 0 and at least 1$"):
        ReadConfig(**wrong)
