"""Sampling-based tracking of clips: actions that carry a simulated character along a clip, kicks and flips included, found by trial.

Many characters follow a clip, each with targets of its own; after each window of time those that are nearest to the clip go on, from where they are, in place of the others. What
the survivors did is where the next pass tries around. A walk takes seconds of this, a backflip a minute. The way of the best of them is a motion along the clip that physics
allows: `envs.refine` makes it better, and experts keep to it (`envs.lqr`).

Sources: Liu, Yin, van de Panne, Shao and Xu 2010, "Sampling-based contact-rich motion control" (SAMCON); Liu, Yin and Guo 2015, "Improving sampling-based motion control" (what
survives moves the distribution that is sampled).

Shapes: ``N`` trials, ``S`` survivors, ``K`` windows, ``W`` control steps in a window, ``R`` windows that a pass reached, ``A`` action, ``P`` bodies, ``M`` moments.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from envs.character import Character
from envs.clip_actions import MOMENTS_EACH, clip_actions
from envs.physics import Physics
from envs.state import StateCodec
from motions.library import MotionLibrary
from motions.skeleton import CharacterState

PLACE, FEET, HEIGHT, TURN = 20.0, 10.0, 20.0, 0.7  # weights of squared differences of a pose (see `tracking_cost`), a m² and a squared Frobenius norm
LOST = 10.0  # median cost of the survivors at which a pass is given up
GOOD, PASSABLE = 0.8, 1.5  # mean cost of a pass that is good; and that will do once `PATIENCE` passes have been made
PATIENCE = 16
USABLE = 2.0  # mean cost of a pass beyond which the motion is another one
FIRST_RAD, LEAST_RAD, MOST_RAD = 0.12, 0.08, 0.5  # deviations of targets: at first, at least, and where passes get stuck
WIDER = 1.3  # survivors' deviations are multiplied by this for the next pass, and those before the place where passes get stuck with each that does
FOLLOW = 0.4  # share of the way that the mean goes to that of the survivors
MEMORY = 0.7  # share of a trial's cost so far that counts in its next window
EFFORT = 0.005  # weight of the squared deviation from the clip's own actions, in units of `FIRST_RAD`
AHEAD = 5  # windows that a trial's descendants must survive for what it did to count
BEYOND_S = 1.5  # what is followed of a looping clip's next cycle


@dataclass(frozen=True)
class SamconConfig:
    """Attributes:
    trials, survivors: characters that follow a clip at the same time, and those of them that go on after each window.
    window_steps: control steps for which a trial holds its deviation from the clip's actions.
    max_passes: along a clip, at most. enough: complete ones that suffice.
    """

    trials: int = 1024
    survivors: int = 128
    window_steps: int = 3
    max_passes: int = 24
    enough: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.survivors <= self.trials or self.trials % self.survivors:
            raise ValueError(f"samcon: trials, survivors: got {self.trials}, {self.survivors}; expected trials a multiple of survivors, and at least 1 of both")
        if min(self.window_steps, self.max_passes, self.enough) < 1:
            raise ValueError(f"samcon: window_steps, max_passes, enough: got {self.window_steps}, {self.max_passes}, {self.enough}; expected at least 1 of each")


@dataclass(frozen=True)
class Motion:
    """States, a control step apart, and what is done in them: ``qpos [M, nq]``, ``qvel [M, nv]`` and ``action [M, A]``."""

    qpos: Tensor
    qvel: Tensor
    action: Tensor

    def rows(self, ids: Tensor | slice) -> Motion:
        """Some of the moments, in the order of ``ids``."""
        return Motion(self.qpos[ids], self.qvel[ids], self.action[ids])

    @staticmethod
    def cat(parts: list[Motion]) -> Motion:
        return Motion(*(torch.cat([getattr(part, name) for part in parts]) for name in ("qpos", "qvel", "action")))


@dataclass(frozen=True)
class Targets:
    """Deviations from the clip's actions to try: normal, with ``mean [K, A]`` and ``deviation [K, A]``, radians."""

    mean: Tensor
    deviation: Tensor

    @staticmethod
    def first(windows: int, size: int, device: torch.device | str = "cpu") -> Targets:
        return Targets(torch.zeros(windows, size, device=device), torch.full((windows, size), FIRST_RAD, device=device))


@dataclass(frozen=True)
class Pass:
    """What came of following a clip once.

    Attributes:
        reached: ``R`` windows until nobody was near the clip any more. cost: mean over these of the survivors' median cost.
        found: mean and deviation ``[R, A]`` of what those did whose descendants survived.
        path: ``[R * W]`` the way of the trial that was best in the end, from the first control step on.
    """

    reached: int
    cost: float
    found: Targets
    path: Motion


@dataclass(frozen=True)
class Track:
    """How well a clip could be followed.

    Attributes:
        reached_s, length_s, passes: for ``reached_s`` of ``length_s`` seconds, in so many passes. cost: the best one's (see `tracking_cost`), and its ``path [T]``.
    """

    reached_s: float
    length_s: float
    passes: int
    cost: float
    path: Motion

    @property
    def complete(self) -> bool:
        """Whether it was followed to its end, and not only by those who had lost the motion."""
        return self.reached_s == self.length_s and self.cost <= USABLE


def tracking_cost(now: CharacterState, before: Tensor, clip: CharacterState, clip_before: Tensor, mass: Tensor, feet: Tensor, dt: float) -> Tensor:
    """How far characters ``now [N]`` are from where a clip has them ``[1]``, ``[N]``; 0.1 to 0.5 is close, beyond 3 the motion is lost.

    Squared differences: of the bodies' places about the centre of mass (mean, 20 a m², and that of the feet, 10), of the centre's height (20) and place (2), of the bodies' and the
    root's orientation (0.7 of the squared Frobenius norm each), of the centre's velocity (0.4 a m²/s²) and of the bodies' (0.15, by mass).

    Args:
        before, clip_before: ``[N, P, 3]`` and ``[1, P, 3]`` the bodies' places ``dt`` seconds ago. mass: ``[P]`` share of the whole. feet: bodies.
    """

    def about(places: Tensor) -> tuple[Tensor, Tensor]:
        centre = (places * mass.unsqueeze(-1)).sum(1)
        return centre, places - centre.unsqueeze(1)

    (centre, pose), (clip_centre, clip_pose) = about(now.body_pos_w), about(clip.body_pos_w)
    place = (pose - clip_pose).square().sum(-1)  # [N, P]
    off = (centre - clip_centre).square()
    turn = (now.body_mat_w - clip.body_mat_w).square().sum((-1, -2))
    velocity = (now.body_pos_w - before - clip.body_pos_w + clip_before) / dt
    of_centre = (velocity * mass.unsqueeze(-1)).sum(1).square().sum(-1)
    of_bodies = (velocity.square().sum(-1) * mass).sum(-1)
    standing = PLACE * place.mean(-1) + FEET * place[:, feet].mean(-1) + HEIGHT * off[:, 2] + 2 * off[:, :2].sum(-1) + TURN * (turn.mean(-1) + turn[:, 0])
    return standing + 0.4 * of_centre + 0.15 * of_bodies


def ancestors(parents: list[Tensor], window: int, survivors: int) -> Tensor:
    """Which trials ``[S]`` of ``window`` those descend from that survived `AHEAD` windows later, or the last that was reached.

    Args:
        parents: for each window, the trial ``[N]`` of that window in whose state each of the next one begins; the first ``survivors`` name the survivors.
    """
    last = min(len(parents) - 1, window + AHEAD)
    ids = parents[last][:survivors]
    for k in range(last - 1, window - 1, -1):
        ids = parents[k][ids]
    return ids


class Samcon:
    """Args:
    physics: engine holding ``config.trials`` simulations of ``character.model``; they are disturbed.
    control_dt: seconds for which an action is held. generator: random source, on the device of ``physics`` and ``library``.
    """

    def __init__(self, character: Character, library: MotionLibrary, physics: Physics, control_dt: float, config: SamconConfig, generator: torch.Generator):
        self.character, self.library, self.physics, self.dt, self.config, self.generator = character, library, physics, control_dt, config, generator
        self._codec, self._given = StateCodec(character.skeleton), clip_actions(character, library, control_dt)
        device = library.device
        self._offset, self._scale = character.action_offset.to(device), character.action_scale.to(device)
        self._mass, self._feet = character.mass_shares.to(device), character.foot_bodies.to(device)
        self._window_s = config.window_steps * control_dt

    def windows(self, clip: int) -> int:
        """Windows to the end of a clip; of a looping one, to `BEYOND_S` of its next cycle."""
        length = float(self.library.durations_s[clip]) + BEYOND_S * bool(self.library.loops[clip])
        return max(1, int(length / self._window_s + 1e-3))

    def clip_path(self, clip: int, steps: int) -> tuple[Tensor, Tensor]:
        """Where the clip itself has the character in its first control steps: ``qpos [steps, nq]`` and ``qvel [steps, nv]``."""
        return self._codec.encode(self.library.along(clip, self.dt * torch.arange(steps, device=self.library.device)))

    def track(self, clip: int) -> Track:
        """Follows ``clip`` until that has gone well a few times or has been tried `SamconConfig.max_passes` times."""
        config, count = self.config, self.windows(clip)
        targets, reached, stuck = Targets.first(count, self.character.num_actions, self.library.device), 0, 0
        costs: list[float] = []
        best: Pass | None = None
        for passes in range(1, config.max_passes + 1):
            made = self.follow(clip, targets)
            if best is None or (made.reached, -made.cost) > (best.reached, -best.cost):
                best = made
            if made.reached == count:
                costs.append(made.cost)
            if sum(cost < (PASSABLE if passes > PATIENCE else GOOD) for cost in costs) >= config.enough:
                break
            stuck = stuck + 1 if made.reached <= reached < count else 0
            targets = self._next(targets, made, reached, stuck)
            reached = max(reached, made.reached)
        assert best is not None
        return Track(best.reached * self._window_s, count * self._window_s, passes, best.cost, best.path)

    @staticmethod
    def _next(targets: Targets, made: Pass, reached: int, stuck: int) -> Targets:
        """What to try after ``made``, when passes have ``reached`` so many windows before and been ``stuck`` there so often."""
        mean, deviation, end, count = targets.mean.clone(), targets.deviation.clone(), made.reached, len(targets.mean)
        mean[:end] += FOLLOW * (made.found.mean - mean[:end])
        deviation[:end] = (0.5 * deviation[:end] + 0.5 * WIDER * made.found.deviation).clamp(LEAST_RAD, MOST_RAD)
        if end >= reached:
            mean[end:], deviation[end:] = 0.0, FIRST_RAD
        if end < count:  # what went wrong began before
            before = slice(max(0, min(end, reached) - 2 * AHEAD), end + 1)
            deviation[before] = deviation[before].clamp_min(min(MOST_RAD, FIRST_RAD * WIDER ** (1 + stuck)))
        return Targets(mean, deviation)

    def _clip_actions(self, clip: int, times: Tensor) -> Tensor:
        """The clip's own actions ``[T, A]`` at ``times [T]``."""
        rows = (self._given.clip == clip).nonzero().flatten()
        if self.library.loops[clip]:
            times = times % self.library.durations_s[clip]
        return self._given.action[rows[(times * MOMENTS_EACH / self.dt).round().long().clamp_max(len(rows) - 1)]]

    def follow(self, clip: int, targets: Targets) -> Pass:
        """One pass along ``clip``, for as many windows as there are ``targets``."""
        config, physics, device = self.config, self.physics, self.library.device
        trials, steps, count = config.trials, config.window_steps, len(targets.mean)
        times = torch.arange(count * steps + 1, device=device) * self.dt
        clip_states, given = self.library.along(clip, times), self._clip_actions(clip, times[:-1])
        qpos, qvel = self._codec.encode(clip_states[:1])
        physics.set_state(torch.arange(trials, device=device), qpos.expand(trials, -1).contiguous(), qvel.expand(trials, -1).contiguous())
        before, total = clip_states.body_pos_w[:1].expand(trials, -1, -1), torch.zeros(trials, device=device)
        parents: list[Tensor] = []
        tried: list[Tensor] = []
        seen: list[Motion] = []
        costs: list[float] = []
        for k in range(count):
            noise = torch.randn(trials, targets.mean.shape[1], generator=self.generator, device=device)
            noise[::16] = 0.0  # some do what is known
            deviation = targets.mean[k] + targets.deviation[k] * noise
            cost = torch.zeros(trials, device=device)
            for step in range(k * steps, (k + 1) * steps):
                action = (given[step] + deviation / self._scale).clamp(-1.0, 1.0)
                seen.append(Motion(physics.qpos[:, : qpos.shape[1]].clone(), physics.qvel[:, : qvel.shape[1]].clone(), action))
                physics.step(self._offset + self._scale * action, round(self.dt / physics.sim_dt))
                now, after = self._codec.decode(physics.qpos, physics.qvel), clip_states[step + 1 : step + 2]
                cost = tracking_cost(now, before, after, clip_states.body_pos_w[step : step + 1], self._mass, self._feet, self.dt)
                before = now.body_pos_w
            total = MEMORY * total + torch.nan_to_num(cost, nan=1e6, posinf=1e6) + EFFORT * (deviation / FIRST_RAD).square().mean(-1)
            best = total.argsort()[: config.survivors]
            median = float(cost[best].median())
            if not median <= LOST:
                break
            costs.append(median)
            parents.append(best.repeat(trials // config.survivors))
            tried.append(deviation)
            if k + 1 < count:
                state = physics.get_full_state()
                physics.set_full_state(state[parents[-1].to(state.device)])
                before, total = before[parents[-1]], total[parents[-1]]
        return self._made(parents, tried, seen, costs, targets)

    def _made(self, parents: list[Tensor], tried: list[Tensor], seen: list[Motion], costs: list[float], targets: Targets) -> Pass:
        """Sums up a pass."""
        mean, deviation, steps = targets.mean[: len(costs)].clone(), targets.deviation[: len(costs)].clone(), self.config.window_steps
        for k in range(len(costs)):
            ids = ancestors(parents, k, self.config.survivors)
            mean[k], deviation[k] = tried[k][ids].mean(0), tried[k][ids].std(0, correction=0)
        path: list[Motion] = []
        if costs:
            one = parents[-1][:1]
            for k in reversed(range(len(costs))):
                path += [state.rows(one) for state in reversed(seen[k * steps : (k + 1) * steps])]
                one = parents[k - 1][one] if k else one
        none = seen[0].rows(slice(0))
        cost = sum(costs) / len(costs) if costs else float("inf")
        return Pass(len(costs), cost, Targets(mean, deviation), Motion.cat([none, *reversed(path)]))
