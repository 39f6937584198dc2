"""What a policy is taught before it acts, and rehearses: clips' actions, by inverse dynamics or as simulated characters followed the clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ase import checkpoint
from ase.actor_critic import use_bf16
from ase.cloning import clone, falls, remember
from ase.distributed import rank
from ase.learner import Learner
from cfg.schema import RunConfig
from envs.character import Character
from envs.clip_actions import ClipActions, clip_actions
from envs.clip_lessons import AFTER, draw_joins, join_clip, lessons, to_follow
from envs.engines import make_physics
from envs.humanoid import HumanoidEnv
from envs.samcon import Samcon, Track, Tube
from motions.joins import Join
from motions.library import MotionLibrary

TRACKS = "tracks.safetensors"
REMEMBER_S = 8.0  # for which trained skills show what they know


def make_samcon(config: RunConfig, character: Character, library: MotionLibrary) -> Samcon:
    """What follows clips with a run's character, on the library's device."""
    physics = make_physics(config.physics, character.model, config.samcon.trials, config.env.num_threads, library.device)
    return Samcon(character, library, physics, config.env.control_dt, config.samcon, torch.Generator(library.device).manual_seed(config.seed))


def tell(name: str, track: Track) -> str:
    """How a clip could be followed, on one line."""
    return f"{name:24} followed for {track.reached_s:.1f} of {track.length_s:.1f} s in {track.passes} passes, cost {track.cost:.2f}"


def load_tracks(path: Path, library: MotionLibrary) -> dict[str, Tube]:
    """What was found on the library's clips, by name, from a file that `clip_teacher` wrote, in the order of that; on the library's device."""
    tree, info = checkpoint.load(path, "tracks")
    names = [name for name in info["clips"] if name in tree and set(name.split(AFTER)) <= set(library.names)]
    return {name: Tube(*(tree[name][key].to(library.device) for key in ("qpos", "qvel", "action"))) for name in names}


def clip_teacher(config: RunConfig, character: Character, library: MotionLibrary, clips: Sequence[str], out: Path, tracks: Path | None, resume: bool) -> ClipActions | None:
    """The actions that a run is taught or rehearses, or None if it does neither: those of all clips, or tracked ones of ``clips``, and of joins that lead into these.

    Tracked ones are read from the run's folder ``out`` or, as far as they are there, from that of another run, ``tracks``; what is missing is followed now, and saved in ``out``
    one by one. A resumed run has those that it began with.

    Raises:
        ValueError: a file that cannot be read or written.
    """
    teach = config.train.clone
    if not (teach.steps or teach.rehearse_weight):
        return None
    if not teach.tracked:
        return clip_actions(character, library, config.env.control_dt)
    mine = out / TRACKS
    found = load_tracks(tracks / TRACKS, library) if tracks is not None and not resume else {}
    if resume or mine.is_file():
        found |= load_tracks(mine, library)
    names = list(found) if resume else to_follow(clips, character, library)
    joins: dict[str, Join] = {}
    if teach.joins and not resume:
        others = [name for name in library.names if name not in clips]
        joins = draw_joins(names, others, teach.joins, library, torch.Generator(library.device).manual_seed(config.seed))
    shown = [*names, *joins]

    def keep() -> None:
        if rank() == 0:
            checkpoint.save(mine, {name: vars(found[name]) for name in shown if name in found}, "tracks", {"clips": shown})

    def follow(samcon: Samcon) -> None:
        for name in samcon.library.names:
            if name in shown and name not in found:
                track = samcon.track(samcon.library.index(name))
                lost = name in joins and not track.complete  # it leads nowhere
                found[name] = track.tube.none() if lost else track.tube.compact()
                if rank() == 0:
                    print(tell(name, track), flush=True)
                keep()

    if any(name not in found for name in names):
        follow(make_samcon(config, character, library))
    missing = [join_clip(name, join, library) for name, join in joins.items() if name not in found]
    if missing:
        brief = replace(config, samcon=config.samcon.brief())
        follow(make_samcon(brief, character, MotionLibrary(missing, character.skeleton, device=library.device)))
    if not mine.is_file():
        keep()
    return lessons({name: found[name] for name in shown}, character, library) if shown else None


def teach(config: RunConfig, env: HumanoidEnv, learner: Learner, teacher: ClipActions, known: Sequence[str]) -> float:
    """Clones the actions of ``teacher``, while skills that the learner begins with keep what they do under latents of the clips ``known`` to them; returns the error."""
    bf16 = use_bf16(config.train.bf16, env.device)
    if not known:
        return clone(learner, teacher, falls(env), config.train.clone, bf16)
    ids = torch.tensor([env.library.index(name) for name in known], device=env.device)
    memory = remember(env, learner, ids, round(REMEMBER_S / config.env.control_dt))
    return clone(learner, teacher, memory.obs, config.train.clone, bf16, memory)
