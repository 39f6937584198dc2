"""How far apart two sets of motion are: the clips' and what a policy does.

Shapes: ``M``, ``W`` members of the sets, ``G`` features, scaled alike.
"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

HELD_OUT = 0.5  # share of both sets that a discriminator after the fact is not shown
STEPS, BATCH, LR, HIDDEN = 300, 256, 2e-3, 128


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


def heldout_disc_accuracy(demo: Tensor, agent: Tensor, agent_owner: Tensor, generator: torch.Generator) -> float:
    """How well a discriminator that is trained after the fact tells clips from the policy, on motion it was not shown; 0.5: not at all.

    It is a network of its own, trained once the policy is frozen, so that no policy can have learned to please it. Half of the demo windows and all windows of half of the
    rollouts are kept from it. Accuracy is the mean of the two kinds'.

    Args:
        demo: ``[M, G]`` windows of the clips. agent: ``[W, G]`` windows of the policy. agent_owner: ``[W]`` the rollout of each.
    """
    device = demo.device
    demo_seen = torch.rand(len(demo), generator=generator, device=device) >= HELD_OUT
    rollout_seen = torch.rand(int(agent_owner.max()) + 1, generator=generator, device=device) >= HELD_OUT
    agent_seen = rollout_seen[agent_owner]
    if not all(flags.any() and not flags.all() for flags in (demo_seen, agent_seen)):
        return float("nan")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator, device=device)))
        net = nn.Sequential(nn.Linear(demo.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)).to(device)
    optimizer = torch.optim.Adam(net.parameters(), LR, weight_decay=1e-5, fused=device.type in ("cpu", "cuda"))
    parts = (demo[demo_seen], agent[agent_seen])
    with torch.enable_grad():
        for _ in range(STEPS):
            logits = [net(part[torch.randint(len(part), (BATCH,), generator=generator, device=device)]) for part in parts]
            loss = nn.functional.softplus(-logits[0]).mean() + nn.functional.softplus(logits[1]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    right = ((net(demo[~demo_seen]) > 0).float().mean(), (net(agent[~agent_seen]) < 0).float().mean())
    return float(sum(right) / 2)


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
