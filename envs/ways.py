"""`Ways`: how to do each clip, moment by moment, and how to get there from every other: the clips themselves, or what physics allows of them (`envs.expert`), with the changes
between them that work there (`envs.motion_graph`).

Shapes: ``M`` moments of all clips, ``C`` clips, ``F`` features of a frame, ``n`` characters.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from envs.expert import Expert
from envs.features import FeatureLayout, observe
from envs.motion_graph import MotionGraph
from motions.library import MotionLibrary

DETOUR = 0.5  # what beginning on another clip than one's own, and going on from there, counts beside the squared difference


@dataclass(frozen=True)
class Ways:
    """Attributes:
    frames: ``[M, F]`` what a character looks like in each moment, a control step apart. after: ``[M]`` the moment that follows; the last of a clip that ends is followed by itself.
    clip: ``[M]`` which clip each is of; every clip's moments lie side by side. entry: ``[M]`` whether one can begin there.
    toward: ``[C, C]`` the clip that follows on the first on the way to the second; the first itself where there is none.
    leave, enter: ``[C, C]`` moment of the first clip in which it is left for the second, and that of the second which is taken up then; -1: it does not lead there.
    """

    frames: Tensor
    after: Tensor
    clip: Tensor
    entry: Tensor
    toward: Tensor
    leave: Tensor
    enter: Tensor

    @staticmethod
    def apart(frames: Tensor, after: Tensor, clip: Tensor, count: int) -> Ways:
        """Of ``count`` clips that do not lead into each other."""
        none = torch.full((count, count), -1, device=clip.device)
        here = torch.arange(count, device=clip.device).unsqueeze(1).repeat(1, count)
        return Ways(frames, after, clip, torch.ones_like(clip, dtype=torch.bool), here, none, none.clone())

    def state_dict(self) -> dict[str, Tensor]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def ends(self, moment: Tensor) -> Tensor:
        """Whether nothing follows on ``moment [n]``."""
        return self.after[moment] == moment

    @cached_property
    def _moments(self) -> Tensor:
        return torch.arange(len(self.clip), device=self.clip.device)

    @cached_property
    def _ending(self) -> Tensor:
        """Which clips end, ``[C]``."""
        found = torch.zeros(len(self.toward), dtype=torch.bool, device=self.clip.device)
        found[self.clip[self.ends(self._moments)]] = True
        return found

    def nearest(self, goal: Tensor, frames: Tensor, weights: Tensor) -> Tensor:
        """Where to begin for clips ``goal [n]`` from ``frames [n, F]``, ``[n]``: the moment that differs least, by squared differences with ``weights [F]``, of that clip or of
        another that leads to it."""
        scale = weights.sqrt()
        cost = torch.cdist(frames * scale, self.frames * scale).square()  # [n, M]
        goal = goal.unsqueeze(-1)
        following = self.toward[self.clip, goal]
        missed = self._ending[self.clip] & (self._moments > self.leave[self.clip, following])  # nobody comes again to where it would be left
        leads = (following != self.clip) & ~missed
        cost = cost + torch.where(self.clip == goal, 0.0, torch.where(leads, DETOUR, torch.inf))
        return torch.where(self.entry, cost, torch.inf).argmin(-1)

    def ahead(self, moment: Tensor, part: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
        """What is ``part`` (at least 0, below 3) control steps after ``moment`` on the way to ``goal``, as a moment and a part below 1; all broadcast."""
        whole = part.floor()
        for k in range(2):
            moment = torch.where(whole > k, self.after[moment], moment)
        clip = self.clip[moment]
        following = self.toward[clip, goal]
        leave, enter = self.leave[clip, following], self.enter[clip, following]
        passed = moment == self.after[leave]  # where there is no way both are -1, and nothing changes
        return torch.where(moment == leave, enter, torch.where(passed, self.after[enter], moment)), part - whole

    def at(self, moment: Tensor, part: Tensor) -> Tensor:
        """Features ``[..., F]`` so much ``part [...]`` of a control step after ``moment [...]``."""
        return torch.lerp(self.frames[moment], self.frames[self.after[moment]], part.unsqueeze(-1))


def clip_ways(library: MotionLibrary, layout: FeatureLayout, control_dt: float) -> Ways:
    """Clips as they are; none leads into another."""
    frames, after, clip, first = [], [], [], 0
    for k in range(library.num_clips):
        length, loops = float(library.durations_s[k]), bool(library.loops[k])
        count = max(1, round(length / control_dt)) if loops else int(length / control_dt + 1e-3) + 1
        times = torch.arange(count, device=library.device) * (length / count if loops else control_dt)
        ids = torch.full((count,), k, device=library.device)
        frames.append(observe(library.state_at(ids, times), library.skeleton)[:, layout.style_columns.to(library.device)])
        here = torch.arange(first, first + count, device=library.device)
        after.append(torch.cat((here[1:], here[:1] if loops else here[-1:])))
        clip.append(ids)
        first += count
    return Ways.apart(torch.cat(frames), torch.cat(after), torch.cat(clip), library.num_clips)


def motion_ways(expert: Expert, graph: MotionGraph, library: MotionLibrary, layout: FeatureLayout, control_dt: float) -> Ways:
    """What an expert can do, and how it changes; clips that it cannot do as they are."""
    regulators, clips = expert.regulators, expert.clips
    frames = observe(expert.deviations.codec.decode(regulators.qpos, regulators.qvel), library.skeleton)[:, layout.style_columns.to(library.device)]
    own = clip_ways(library, layout, control_dt)
    others = (~torch.isin(own.clip, clips)).nonzero().flatten()
    place = torch.zeros_like(own.clip)
    place[others] = len(frames) + torch.arange(len(others), device=place.device)
    after, clip = torch.cat((regulators.after, place[own.after[others]])), torch.cat((regulators.clip, own.clip[others]))
    ways = Ways.apart(torch.cat((frames, own.frames[others])), after, clip, library.num_clips)
    ways.entry[: len(frames)] = False
    ways.entry[torch.cat(expert.cycles)] = True
    rows, columns = clips.unsqueeze(1), clips.unsqueeze(0)
    ways.toward[rows, columns] = clips[graph.toward]
    ways.leave[rows, columns], ways.enter[rows, columns] = graph.leave, graph.enter
    return ways
