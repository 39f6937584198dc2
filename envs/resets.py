"""Where episodes start: on a clip, in the default pose, or fallen on the floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from envs.approach import Approaches
from envs.character import Character
from envs.features import FeatureLayout, observe
from envs.physics import Physics
from envs.state import StateCodec
from motions.library import MotionLibrary
from motions.rotations import quat_normalize
from motions.skeleton import CharacterState

NO_CLIP = -1
FALLEN = -2  # on no clip, but on the floor
EARLY_S = 3.0  # a fall this soon after a clip start counts against the clip
SOON_S = 1.0  # who is on the way to the floor as a clip shows it gets there, whatever is asked for
SHORTEST_S = 0.3  # episodes that are shorter count as long as this where time is to be even
FORGET = 0.02  # share of a clip's failure rate that one more start replaces


@dataclass(frozen=True)
class StartMix:
    """How episodes start. The shares of clip, default and fallen starts are relative to their sum.

    Attributes:
        clip, default, fallen: shares of starts at a random time of a clip, standing in the rest pose, and lying on the floor.
        recovery: probability that an episode which ended in a fall goes on from where the character lies.
        hard_share: how much clips on which characters soon fall are preferred: a clip is drawn in proportion to its weight times ``1 - hard_share + hard_share * p``, where ``p``
            is the share of recent starts on it that fell within `EARLY_S`. Without this, motion that is hard is hardly practised: its episodes are the shortest.
        even_time: the weights of clips are shares of the time that is spent in episodes which start on them, not of these starts: a clip is drawn the less the longer its recent
            episodes were. Where some clips allow no fall and others nothing else, starts alone would leave the latter next to nothing.
        approach: share of the clip starts that are on the way to the clip only, from another or from the rest pose (`envs.approach`).
        grace_s: for this long a fall does not end the episode after a fallen or recovery start, and after a clip start that lies low or will within `SOON_S`, as in a cartwheel.
    """

    clip: float = 0.85
    default: float = 0.15
    fallen: float = 0.0
    recovery: float = 0.0
    hard_share: float = 0.0
    even_time: bool = False
    approach: float = 0.0
    grace_s: float = 2.0

    def __post_init__(self) -> None:
        shares = (self.clip, self.default, self.fallen)
        if min(shares) < 0 or sum(shares) <= 0 or not 0 <= self.recovery <= 1:
            raise ValueError(f"start mix: got clip {self.clip}, default {self.default}, fallen {self.fallen}, recovery {self.recovery}; expected shares >= 0, recovery in [0, 1]")
        if not (0 <= self.hard_share < 1 and 0 <= self.approach < 1):
            raise ValueError(f"start mix: hard_share, approach: got {self.hard_share:g}, {self.approach:g}; expected at least 0 and less than 1")


def default_state(character: Character, n: int) -> CharacterState:
    """``n`` characters at rest in the model's rest pose, all joints at zero."""
    identity = torch.tensor([1.0, 0.0, 0.0, 0.0])
    pos = torch.tensor([0.0, 0.0, character.default_height_m]).expand(n, 3)
    zero = torch.zeros(n, 3)
    skeleton = character.skeleton
    return skeleton.state(pos, identity.expand(n, 4), zero, zero, identity.expand(n, len(skeleton.joints), 4), torch.zeros(n, skeleton.num_dofs))


def clip_history(library: MotionLibrary, clip_ids: Tensor, times_s: Tensor, history: int, control_dt: float) -> CharacterState:
    """The ``H`` states that lead up to ``times_s [n]`` a control step apart, oldest first, ``[n, H]``."""
    back = torch.arange(history - 1, -1, -1, device=times_s.device) * control_dt
    return library.state_at(clip_ids.unsqueeze(-1).expand(-1, history), times_s.unsqueeze(-1) - back)


def fallen_pool(physics: Physics, codec: StateCodec, character: Character, generator: torch.Generator, seconds: float = 2.5) -> tuple[Tensor, Tensor]:
    """One lying pose per environment: dropped at a random orientation with a random constant target, at rest after ``seconds``.

    Uses and disturbs every simulation of ``physics``.

    Returns:
        ``qpos [n, nq]`` and ``qvel [n, nv]`` (zero) of the drops that stayed finite.
    """
    n, device = physics.num_envs, physics.device
    state = default_state(character, n)
    qpos, qvel = codec.encode(state)
    qpos[:, 3:7] = quat_normalize(torch.randn(n, 4, generator=generator, device=generator.device)).to(qpos.device)
    ctrl = character.action_offset + character.action_scale * (torch.rand(n, character.num_actions, generator=generator, device=generator.device).cpu() - 0.5)
    physics.set_state(torch.arange(n, device=device), qpos.to(device), qvel.to(device))
    physics.step(ctrl.to(device), round(seconds / physics.sim_dt))
    qpos = physics.qpos.clone()
    qpos = qpos[torch.isfinite(qpos).all(-1)]
    qpos[:, :2] = 0.0
    return qpos, torch.zeros(len(qpos), physics.qvel.shape[1], device=device)


def is_low(state: CharacterState, bodies: Tensor, heights: Tensor) -> Tensor:
    """Whether any of ``bodies [S]`` has its origin below its fall height ``[S]`` (metres), ``[n]``."""
    return (state.body_pos_w[..., bodies, 2] < heights).any(-1)


def low_times(library: MotionLibrary, character: Character, control_dt: float, ahead_s: float = 0.0) -> Tensor:
    """Where clips lie low, or will within ``ahead_s`` seconds if they are followed: ``[C, T]``, a control step apart; where a clip is over it is not low."""
    bodies, heights = character.fall_bodies.to(library.device), character.fall_heights.to(library.device)
    counts = (library.durations_s / control_dt + 1e-3).long() + 1
    found = torch.zeros(library.num_clips, int(counts.max()), dtype=torch.bool, device=library.device)
    for clip, count in enumerate(counts.tolist()):
        steps = torch.arange(count, device=library.device)
        now = is_low(library.state_at(torch.full_like(steps, clip), steps * control_dt), bodies, heights)
        for ahead in range(round(ahead_s / control_dt) + 1):
            then = steps + ahead
            found[clip, :count] |= now[then % count] if library.loops[clip] else now[then.clamp_max(count - 1)]
    return found


def floor_loops(library: MotionLibrary, character: Character, control_dt: float) -> Tensor:
    """Clips that go on for ever and go to the floor, such as rolls, crawls and cartwheels: what they show is no fall, ``[C]``."""
    return library.loops & low_times(library, character, control_dt).any(-1)


@dataclass(frozen=True)
class Starts:
    """Beginnings of ``n`` episodes: ``qpos [n, nq]``, ``qvel [n, nv]``, ``obs [n, O]``, ``history [n, H, F]``, ``grace_steps [n]`` in which a fall does not
    count, and ``clip [n]``, the clip that is started on, `NO_CLIP` or `FALLEN`."""

    qpos: Tensor
    qvel: Tensor
    obs: Tensor
    history: Tensor
    grace_steps: Tensor
    clip: Tensor

    def __len__(self) -> int:
        return len(self.clip)

    def rows(self, ids: Tensor | slice) -> Starts:
        """Some of them, in the order of ``ids``."""
        return Starts(*(getattr(self, f.name)[ids] for f in fields(self)))

    @staticmethod
    def cat(parts: list[Starts]) -> Starts:
        return Starts(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Starts)))


class StartBank:
    """Makes starts many at a time, which costs a fraction of making each when it is needed, and hands them out.

    Args:
        mix, history, control_dt: of the environment. generator: random source, on the library's device.
        fallen: ``qpos, qvel`` of `fallen_pool`; needed if the mix has fallen starts.
        size: starts made at a time.
    """

    def __init__(
        self,
        mix: StartMix,
        history: int,
        control_dt: float,
        character: Character,
        library: MotionLibrary,
        generator: torch.Generator,
        fallen: tuple[Tensor, Tensor] | None,
        size: int,
    ):
        self.mix, self.history, self.control_dt, self.size = mix, history, control_dt, size
        self.character, self.library, self.generator = character, library, generator
        self._codec, self._fallen = StateCodec(character.skeleton), fallen
        self._columns = FeatureLayout.of(character).style_columns.to(library.device)
        self._low = low_times(library, character, control_dt, SOON_S)
        self._approaches = Approaches(library, character, control_dt, self._resting()) if mix.approach else None
        self.failure = torch.ones(library.num_clips, device=library.device)
        self.seconds = torch.ones(library.num_clips, device=library.device)
        self._shares = torch.tensor([mix.clip, mix.default, mix.fallen], dtype=torch.float32, device=library.device)
        self.clear()

    @property
    def grace(self) -> int:
        """Control steps of the grace period."""
        return round(self.mix.grace_s / self.control_dt)

    def clear(self) -> None:
        """Forgets the starts in store, so that what follows depends on the generator alone."""
        self._store: Starts | None = None
        self._next, self._drawn_from, self._drawn_for = 0, self.generator.get_state(), self._record()

    def forget(self) -> None:
        """Forgets which clips are hard or take long, and the starts in store."""
        self.failure, self.seconds = torch.ones_like(self.failure), torch.ones_like(self.seconds)
        self.clear()

    def learn(self, clip_ids: Tensor, failed: Tensor, seconds: Tensor) -> None:
        """Takes note of episodes that began on ``clip_ids [n]`` (those on none are left out), whether they soon ended in a fall, ``failed [n]``, and how long they lasted."""
        known = clip_ids >= 0
        count = torch.zeros_like(self.failure).index_add_(0, clip_ids[known], torch.ones_like(self.failure[clip_ids[known]]))
        keep = (1 - FORGET) ** count

        def mean(of: Tensor) -> Tensor:
            return torch.zeros_like(count).index_add_(0, clip_ids[known], of[known].to(count)) / count.clamp_min(1.0)

        self.failure = keep * self.failure + (1 - keep) * mean(failed)
        self.seconds = keep * self.seconds + (1 - keep) * mean(seconds)

    @property
    def clip_weights(self) -> Tensor:
        """What clips are drawn by, ``[C]``."""
        hard = self.mix.hard_share
        weights = self.library.weights * (1 - hard + hard * self.failure)
        return weights / self.seconds.clamp_min(SHORTEST_S) if self.mix.even_time else weights

    def take(self, n: int) -> Starts:
        """``n`` random starts."""
        parts = []
        while n > 0:
            if self._store is None or self._next == len(self._store):
                self._drawn_from, self._drawn_for, self._next = self.generator.get_state(), self._record(), 0
                self._store = self.draw(self.size)
            part = self._store.rows(slice(self._next, self._next + n))
            self._next += len(part)
            n -= len(part)
            parts.append(part)
        return Starts.cat(parts)

    def draw(self, n: int) -> Starts:
        """``n`` fresh random starts, kinds in random order."""
        kinds = torch.multinomial(self._shares, n, replacement=True, generator=self.generator)
        makers: list[Callable[[int], Starts]] = [self._random_on_clip, self.standing, self._lying]
        parts = [make(int((kinds == k).sum())) for k, make in enumerate(makers) if (kinds == k).any()]
        return Starts.cat(parts).rows(torch.randperm(n, generator=self.generator, device=self.library.device))

    def on_clip(self, clip_ids: Tensor, times_s: Tensor) -> Starts:
        """At ``times_s [n]`` of ``clip_ids [n]``, the history filled from the clip; with grace where the clip lies low or soon will."""
        past = clip_history(self.library, clip_ids, times_s, self.history, self.control_dt)
        obs, state = observe(past, self.character.skeleton), past[:, -1]
        low = self._low[clip_ids, (times_s / self.control_dt + 1e-3).long().clamp_max(self._low.shape[1] - 1)]
        grace_steps = torch.where(low, self.grace, 0)
        return Starts(*self._codec.encode(state), obs[:, -1], obs[..., self._columns], grace_steps, clip_ids)

    def _random_on_clip(self, n: int) -> Starts:
        near = int((torch.rand(n, generator=self.generator, device=self.library.device) < self.mix.approach).sum()) if self._approaches is not None else 0
        parts = [self.on_clip(*self.library.sample(n - near, self.generator, (self.history - 1) * self.control_dt, self.clip_weights))] if near < n else []
        if self._approaches is not None and near:
            state, clips = self._approaches.draw(near, self.clip_weights, self.generator)
            parts.append(replace(self.at_rest(*self._codec.encode(state), 0), clip=clips))
        return Starts.cat(parts)

    def _resting(self) -> CharacterState:
        """One character in the rest pose."""
        return default_state(self.character, 1).to(self.library.device)

    def standing(self, n: int) -> Starts:
        """In the rest pose."""
        qpos, qvel = self._codec.encode(self._resting())
        return self.at_rest(qpos, qvel, 0).rows(torch.zeros(n, dtype=torch.long, device=self.library.device))

    def _lying(self, n: int) -> Starts:
        assert self._fallen is not None
        qpos, qvel = self._fallen
        pick = torch.randint(len(qpos), (n,), generator=self.generator, device=qpos.device)
        return self.fallen(qpos[pick], qvel[pick])

    def fallen(self, qpos: Tensor, qvel: Tensor) -> Starts:
        """On the floor in given states ``qpos [n, nq]``, ``qvel [n, nv]``, with grace."""
        return self.at_rest(qpos, qvel, self.grace, FALLEN)

    def at_rest(self, qpos: Tensor, qvel: Tensor, grace_steps: int, clip: int = NO_CLIP) -> Starts:
        """In given states ``qpos [n, nq]``, ``qvel [n, nv]``, the history filled with copies of the present frame."""
        obs = observe(self._codec.decode(qpos, qvel), self.character.skeleton)
        count = torch.full((len(qpos),), grace_steps, device=qpos.device)
        return Starts(qpos, qvel, obs, obs[:, None, self._columns].expand(-1, self.history, -1), count, torch.full_like(count, clip))

    def _record(self) -> Tensor:
        """Failure rates and seconds of the clips, ``[2, C]``."""
        return torch.stack((self.failure, self.seconds))

    def state_dict(self) -> dict[str, Tensor]:
        """What makes the same starts again: the generator's state and what was known of the clips when the starts in store were drawn, how many are used (-1: none in store), and
        what is known now."""
        used = torch.tensor(-1 if self._store is None else self._next)
        return {"generator": self._drawn_from, "drawn_for": self._drawn_for, "used": used, "clips": self._record()}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        """Restores `state_dict`; moves the generator."""
        self.generator.set_state(saved["generator"])
        self.failure, self.seconds = saved["drawn_for"].to(self.library.device)
        self.clear()
        if saved["used"] >= 0:
            self._store, self._next = self.draw(self.size), int(saved["used"])
        self.failure, self.seconds = saved["clips"].to(self.library.device)
