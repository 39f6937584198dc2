"""Which latent plays a motion best? A search over the sphere of latents, by what the trained policy does in simulation.

The encoder says which latent it takes a clip for, but not what the policy makes of that latent. So candidates are acted out: characters start on the clip, or where they will be
when the skill is asked for, hold a candidate, and are scored by how far their windows are from the nearest window of the clip. The best are refined by the cross-entropy method
(Rubinstein, 1999): resample around the best few, ever more closely.

Shapes: ``L`` latents, ``S`` starts, ``N = L * S`` characters, ``Z`` latent, ``H`` history frames, ``F`` features, ``G = H * F``, ``M`` windows of the clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ase.metrics import clip_distances
from ase.rollout import Env, on_their_feet

ELITE_SHARE = 0.25  # of the candidates, around which the next ones are drawn
FIRST_SPREAD, SHRINK = 0.8, 0.6  # length of the step off a latent before it is put back onto the sphere; what it is multiplied by each round
RANDOM_SHOWN = 16  # random latents that the found one is compared with


class StartEnv(Env, Protocol):
    """An environment that can start where a clip is."""

    def start_on_clip(self, env_ids: Tensor, clip_ids: Tensor, times_s: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Played:
    """What latents did: ``score [L, S]`` mean distance to the clip, ``fell [L, S]``."""

    score: Tensor
    fell: Tensor


@dataclass(frozen=True)
class SearchConfig:
    """Attributes:
    candidates: latents that are tried in each round. rounds: of refinement after the first.
    """

    candidates: int = 32
    rounds: int = 3

    def __post_init__(self) -> None:
        for name, number, least in (("candidates", self.candidates, 8), ("rounds", self.rounds, 0)):
            if number < least:
                raise ValueError(f"skill search: {name}: got {number}; expected at least {least}")


@dataclass(frozen=True)
class Measured:
    """A latent's figures on fresh starts: mean ``score``, share of ``falls``, and by how much of this score the found latent's is lower (``gain``, with its standard error over
    starts ``gain_error``; both 0 for the found one itself)."""

    score: float
    falls: float
    gain: float = 0.0
    gain_error: float = 0.0


@dataclass(frozen=True)
class Found:
    """Attributes:
    latent: ``[Z]``. origin: the known latent that it is, or "search". measured: figures by name: ``found``, the known ones, ``random latents`` (their mean).
    rounds: lowest score in each round of the search.
    """

    latent: Tensor
    origin: str
    measured: dict[str, Measured]
    rounds: tuple[float, ...]


def around(centres: Tensor, count: int, spread: float, generator: torch.Generator) -> Tensor:
    """``count`` latents ``[count, Z]`` near ``centres [K, Z]`` in turn, on the unit sphere: a Gaussian step of typical length ``spread``, then back onto it."""
    step = torch.randn(count, centres.shape[1], generator=generator, device=centres.device)
    return F.normalize(centres[torch.arange(count, device=centres.device) % len(centres)] + spread / centres.shape[1] ** 0.5 * step, dim=-1)


def spread_times(first_s: float, last_s: float, count: int, generator: torch.Generator) -> Tensor:
    """One random time (s) in each of ``count`` equal parts of ``first_s`` to ``last_s``, ``[count]``."""
    part = (torch.arange(count, device=generator.device) + torch.rand(count, generator=generator, device=generator.device)) / count
    return first_s + max(last_s - first_s, 0.0) * part


def distance_to(clip: Tensor, scaled: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The distance ``[N]`` of windows ``[N, H, F]`` to the nearest of ``clip [M, G]``, root mean square over features, each in its deviation in the clips.

    Args:
        clip: scaled windows. scaled: ``[N, G]`` of windows (`ase.clip_space.ClipSpace.scaled`).
    """
    same = torch.zeros(len(clip), dtype=torch.long, device=clip.device)
    return lambda windows: clip_distances(scaled(windows), clip, same, 1).squeeze(1) / clip.shape[1] ** 0.5


def held_score(distance: Tensor, alive: Tensor, skip: int) -> Tensor:
    """Mean over time of ``distance [T, N]``, ``[N]``; from its fall on (``alive [T, N]``, a prefix) each counts the worst distance that any character had until it fell.

    Args:
        skip: first steps that do not count, in which windows still hold frames of the start.
    """
    until = torch.cat((torch.ones_like(alive[:1]), alive[:-1]))  # the step of the fall was still seen
    worst = distance[until].max()
    return torch.where(alive, distance, worst)[skip:].mean(0)


@torch.no_grad()
def play(
    env: StartEnv, act: Callable[[Tensor, Tensor], Tensor], z: Tensor, clip_ids: Tensor, times_s: Tensor, steps: int, distance: Callable[[Tensor], Tensor], skip: int
) -> Played:
    """Starts ``S`` characters for each of ``z [L, Z]`` at ``times_s [S]`` of ``clip_ids [S]`` and holds the latent for ``steps`` control steps; the first ``skip`` do not count.

    Args:
        env: of ``L * S`` characters. act: actions ``[N, A]`` without noise from observations ``[N, O]`` and latents ``[N, Z]``. distance: see `distance_to`.
    """
    count, starts, device = len(z), len(times_s), env.device
    assert env.num_envs == count * starts > 0, (env.num_envs, count, starts)
    assert steps > skip, (steps, skip)
    held = z.repeat_interleave(starts, dim=0)
    env.reset()
    obs = env.start_on_clip(torch.arange(count * starts, device=device), clip_ids.repeat(count), times_s.repeat(count))
    distances, alives = [], []
    for step, alive in on_their_feet(env, lambda seen: act(seen, held), obs, steps):
        distances.append(distance(step.disc_obs))
        alives.append(alive)
    return Played(held_score(torch.stack(distances), torch.stack(alives), skip).view(count, starts), ~alives[-1].view(count, starts))


def search(play: Callable[[Tensor], Played], known: dict[str, Tensor], draw: Callable[[int], Tensor], config: SearchConfig, generator: torch.Generator) -> Found:
    """Finds the latent of the lowest score.

    Candidates are the ``known [Z]``, latents near them and random ones; the best few of each round stay and are tried again, on the starts of the next. At last the best few and
    the known ones are compared, so that the found one is at least as good there; and what won is measured once more beside the known and random ones, on starts that chose nothing.

    Args:
        play: acts out latents ``[L, Z]`` from starts of its own. known: by name, such as what the encoder reads. draw: random latents ``[n, Z]``.
    """
    n, few, spread = config.candidates, round(ELITE_SHARE * config.candidates), FIRST_SPREAD
    centres = torch.stack(list(known.values()))
    near = around(centres, (n - len(centres)) // 2, spread, generator)
    z = torch.cat((centres, near, draw(n - len(centres) - len(near))))
    best, rounds = z, []
    for k in range(config.rounds + 1):
        if k:
            spread *= SHRINK
            middle = F.normalize(best.mean(0, keepdim=True), dim=-1)
            z = torch.cat((best, middle, around(best, n - few - 1, spread, generator)))
        score = play(z).score.mean(1)
        best = z[score.argsort()[:few]]
        rounds.append(float(score.min()))
    finalists = torch.cat((centres, best))
    winner = int(play(finalists).score.mean(1).argmin())
    origin = list(known)[winner] if winner < len(known) else "search"
    return Found(finalists[winner], origin, compare(play, finalists[winner], known, draw(RANDOM_SHOWN)), tuple(rounds))


def compare(play: Callable[[Tensor], Played], found: Tensor, known: dict[str, Tensor], random: Tensor) -> dict[str, Measured]:
    """Figures of a latent ``[Z]`` beside the ``known [Z]`` and the mean of ``random [R, Z]``, all from the same starts."""
    played = play(torch.cat((found.unsqueeze(0), torch.stack(list(known.values())), random)))
    rows = {"found": slice(0, 1)} | {name: slice(k + 1, k + 2) for k, name in enumerate(known)} | {"random latents": slice(len(known) + 1, None)}
    own, measured = played.score[0], {}
    for name, row in rows.items():
        other = played.score[row].mean(0)  # [S]
        gain = (other - own) / other.mean().clamp_min(1e-9)
        error = float(gain.std() / len(gain) ** 0.5) if len(gain) > 1 else 0.0
        measured[name] = Measured(float(other.mean()), float(played.fell[row].float().mean()), float(gain.mean()), error)
    return measured
