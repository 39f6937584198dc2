"""``run.py render``: pictures, and motion files, of what was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from rich.progress import track

from ase.run_folder import CONTROLLER
from cfg.cli import parse
from cfg.rollouts import write_rollouts
from cfg.skill_book import load_book
from cfg.task_wiring import load_controller
from cfg.wiring import act_out, latents_of, load_policy, load_skills, load_world, make_env, random_latents
from envs.character import Character
from envs.film import motion_strip, write_image, write_video
from envs.recording import SkillRecording, TaskRecording, record_task, skill_frames
from envs.render import make_renderer
from envs.resets import StartMix


@dataclass(frozen=True)
class RenderArgs:
    """Shows what a run learned as a video, a strip of pictures, or motion files for an animation program: skills side by side, or characters that pursue a task's targets.

    Attributes:
        run: folder that pretrain or train-task wrote, or one that the suite ships, such as ase/pretrained/locomotion.
        out: video file (.mp4).
        strip: picture file (.png) with one row of frames a character.
        motions: folder for each character's motion, as a clip (.npz) and as BVH; no picture is drawn for it.
        latents: skills: how many latents side by side. characters: controller: how many characters.
        seconds: length.
        size: pixels of one character's square.
        skills: skills: instead of random latents those of these clips or names of the run's skill book (see run.py skill), a character each; all for every clip of the run.
        seed: draws the latents or targets.
        clip: skills: start on this clip and show it beside the simulation.
        strip_seconds: the stretch that a strip covers, from the middle on.
        clips_dir: folder of the clips, if not the run's.
    """

    run: tyro.conf.Positional[Path]
    out: Path | None = None
    strip: Path | None = None
    motions: Path | None = None
    latents: int = 6
    characters: int = 4
    skills: tuple[str, ...] = ()
    seconds: float = 10.0
    size: int = 400
    seed: int = 0
    clip: str = ""
    strip_seconds: float = 1.2
    clips_dir: str = ""


def main(args: Sequence[str]) -> None:
    given = parse(RenderArgs, args, "run.py render")
    if given.out is None and given.strip is None and given.motions is None:
        raise ValueError("run.py render: got none of --out, --strip and --motions; expected at least one")
    character, recording, names, captions = record_controller(given) if (given.run / CONTROLLER).is_file() else record(given)
    if given.motions:
        write_rollouts(given.motions, recording.qpos, recording.fps, character, names, f"of {given.run}")
        print(f"wrote {', '.join(names)} to {given.motions}, each as .npz and .bvh: {len(recording.qpos)} frames at {recording.fps:g} Hz")
    if given.out:
        renderer = make_renderer(character, given.size, given.size)
        columns = next(c for c in (1, 2, 3, 4) if c * c >= len(captions) or c == 4)
        frames = track(skill_frames(recording, captions, renderer, columns), "rendering", total=len(recording.qpos), transient=True)
        print(f"wrote {write_video(frames, given.out, recording.fps)}")
        renderer.close()
    if given.strip:
        renderer = make_renderer(character, given.size, given.size, fine=True)
        first = len(recording.qpos) // 2
        part = slice(first, first + max(2, round(given.strip_seconds * recording.fps)))
        shown = recording.markers if isinstance(recording, TaskRecording) else [[] for _ in captions]
        rows = [motion_strip(renderer, motion[part], 8, recording.fps, text, markers=marks[part]) for motion, marks, text in zip(recording.motions, shown, captions, strict=True)]
        print(f"wrote {write_image(np.concatenate(rows), given.strip)}")
        renderer.close()


def record(given: RenderArgs) -> tuple[Character, SkillRecording, list[str], list[str]]:
    """Skills of a run, each under a latent of its own, with their names and captions."""
    config, tree = load_skills(given.run, given.clips_dir)
    config = replace(config, device="cpu", physics="cpu")  # a few characters
    character, library = load_world(config)
    learner = load_policy(config, tree, make_env(config, character, library, 0, replace(config.env, num_envs=1)), given.run)
    if given.skills:
        named = latents_of(given.skills, learner, library, given.run, load_book(given.run, config.train.latents.dim))
    else:
        named = random_latents(learner, given.latents, given.seed)
    recording, captions, _ = act_out(config, character, library, learner, named, given.seconds, given.seed, given.clip)
    return character, recording, list(named), captions


def record_controller(given: RenderArgs) -> tuple[Character, TaskRecording, list[str], list[str]]:
    """A controller's characters, each with targets of its own, with their names and captions."""
    for name, value in (("clip", given.clip), ("skills", " ".join(given.skills))):
        if value:
            raise ValueError(f"run.py render: --{name}: got {value} for a task controller; expected it only for skills")
    world, act = load_controller(given.run, given.clips_dir, "cpu", "cpu")
    env = world.make_env(given.characters, given.seed, StartMix(clip=0, default=1), episode_length_s=100 * given.seconds)
    recording = record_task(env, act, given.seconds)
    numbers = zip(recording.normalized_return.tolist(), recording.fell.tolist(), strict=True)
    task = world.config.task
    names, captions = [f"{task} {k}" for k in range(given.characters)], [f"{task}: return {value:.2f}{', fell' if fell else ''}" for value, fell in numbers]
    return world.character, recording, names, captions
