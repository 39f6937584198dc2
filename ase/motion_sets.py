"""How far apart two sets of motion are: the clips' and what a policy does.

Shapes: ``M``, ``W`` members of the sets, ``G`` features, scaled alike.
"""

from __future__ import annotations

import math

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

HELD_OUT = 0.5  # share of both sets that a discriminator after the fact is not shown
STEPS, BATCH, LR, HIDDEN = 300, 256, 2e-3, 128
HARDLY_TOLD = 0.75  # accuracy halfway between chance and certainty
LEAST_NOISE, MOST_NOISE, HALVINGS = 2.0**-5, 2.0**5, 8


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of the normal distributions fitted to ``a [M, G]`` and ``b [W, G]``: ``|μa - μb|² + tr(Σa + Σb - 2 (Σa Σb)^½)`` (Heusel et al. 2017, arXiv 1706.08500,
    there on features of images)."""
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.t()).view(a.shape[1], -1), torch.cov(b.t()).view(b.shape[1], -1)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0.0).sqrt() @ vectors.t()
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0.0).sqrt().sum()  # tr (Σa Σb)^½
    return float((a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross)


def earth_movers_distance(a: Tensor, b: Tensor) -> float:
    """Mean distance between the members of ``a [M, G]`` and ``b [M, G]`` when each is paired with one of the other so that the sum of distances is least.

    Raises:
        ValueError: sets of different size.
    """
    if len(a) != len(b):
        raise ValueError(f"earth mover's distance: got sets of {len(a)} and {len(b)}; expected equal sizes")
    cost = torch.cdist(a, b).cpu().numpy()
    return float(cost[linear_sum_assignment(cost)].mean())


def heldout_disc_accuracy(demo: Tensor, agent: Tensor, agent_owner: Tensor, generator: torch.Generator, noise: float = 0.0) -> float:
    """How well a discriminator that is trained after the fact tells clips from the policy, on motion it was not shown; 0.5: not at all.

    It is a network of its own, trained once the policy is frozen, so that no policy can have learned to please it. Half of the demo windows and all windows of half of the
    rollouts are kept from it. Accuracy is the mean of the two kinds'.

    Args:
        demo: ``[M, G]`` windows of the clips. agent: ``[W, G]`` windows of the policy. agent_owner: ``[W]`` the rollout of each.
        noise: deviation of Gaussian noise through which it sees both, while it learns and afterwards.
    """
    device = demo.device

    def seen(windows: Tensor) -> Tensor:
        return windows + noise * torch.randn(windows.shape, generator=generator, device=device) if noise else windows

    demo_seen = torch.rand(len(demo), generator=generator, device=device) >= HELD_OUT
    rollout_seen = torch.rand(int(agent_owner.max()) + 1, generator=generator, device=device) >= HELD_OUT
    agent_seen = rollout_seen[agent_owner]
    if not all(flags.any() and not flags.all() for flags in (demo_seen, agent_seen)):
        return math.nan
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator, device=device)))
        net = nn.Sequential(nn.Linear(demo.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)).to(device)
    optimizer = torch.optim.Adam(net.parameters(), LR, weight_decay=1e-5, fused=device.type in ("cpu", "cuda"))
    parts = (demo[demo_seen], agent[agent_seen])
    with torch.enable_grad():
        for _ in range(STEPS):
            logits = [net(seen(part[torch.randint(len(part), (BATCH,), generator=generator, device=device)])) for part in parts]
            loss = nn.functional.softplus(-logits[0]).mean() + nn.functional.softplus(logits[1]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    right = ((net(seen(demo[~demo_seen])) > 0).float().mean(), (net(seen(agent[~agent_seen])) < 0).float().mean())
    return float(sum(right) / 2)


def heldout_disc_noise(demo: Tensor, agent: Tensor, agent_owner: Tensor) -> float:
    """How far a policy is from the clips, as the noise that hides it: deviation of the Gaussian noise on all features at which `heldout_disc_accuracy` falls to 0.75, to
    3 %; 0 if it is no higher without any, at most `MOST_NOISE`.

    Simulated motion is told from clips nearly always, be it good or bad; how much noise it takes to hide the difference says how large it is. Two sets that differ by a constant
    vector ``d`` and are narrow beside it have ``|d| / 1.35``, for then the best that can be done is right in ``Φ(|d| / 2 noise)``. Draws are the same each time.
    """
    generator = torch.Generator(demo.device).manual_seed(0)

    def told(noise: float) -> bool:
        return heldout_disc_accuracy(demo, agent, agent_owner, generator, noise) > HARDLY_TOLD

    plain = heldout_disc_accuracy(demo, agent, agent_owner, generator)
    if not plain > HARDLY_TOLD:
        return math.nan if math.isnan(plain) else 0.0
    low, high = LEAST_NOISE, MOST_NOISE
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if told(middle) else (low, middle)
    return (low * high) ** 0.5


def spread(windows: Tensor, owner: Tensor, latent: Tensor) -> tuple[float, float]:
    """Diversity of skills: mean distance of rollouts under different latents, and of rollouts under the same one (NaN if none has two).

    A rollout is the mean of its windows, so where in its cycle a gait is does not matter. Distances are root mean squares over features.

    Args:
        windows: ``[W, G]``. owner: ``[W]`` the rollout of each. latent: ``[R]`` the latent of each rollout.
    """
    found, inverse = owner.unique(return_inverse=True)
    mean = torch.zeros(len(found), windows.shape[1], device=windows.device).index_add_(0, inverse, windows) / torch.bincount(inverse).unsqueeze(-1)
    distance = torch.cdist(mean, mean) / windows.shape[1] ** 0.5
    same = latent[found].unsqueeze(0) == latent[found].unsqueeze(1)
    pairs = ~torch.eye(len(found), dtype=torch.bool, device=windows.device)
    return float(distance[~same].mean()), float(distance[same & pairs].mean())
