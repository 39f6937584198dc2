"""``run.py pretrain``: low-level skills from motion clips."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from ase.actor_critic import use_bf16
from ase.cloning import clone, falls
from ase.distributed import agree, own_seed, process_group, rank
from ase.evaluate import WINDOW_EVERY, roll_out
from ase.learner import Learner
from ase.pretrain import pretrain
from ase.reading import learn_to_read
from ase.report import Reporter
from ase.run_folder import CONFIG, RunFolder
from cfg.load import save_yaml, to_dict
from cfg.presets import PRESETS, preset
from cfg.schema import RunConfig
from cfg.teaching import be_coached, be_taught, clip_teacher, followed, load_lessons, ways_of
from cfg.training import begin, parse_training, run_training, writing
from cfg.wiring import act_out, begin_with, load_world, make_env, make_learner, random_latents, unaided
from envs.character import Character
from envs.clip_actions import ClipActions
from envs.demos import DemoWindows
from envs.engines import choose_device
from envs.film import write_video
from envs.recording import skill_frames
from envs.render import make_renderer
from motions.library import MotionLibrary

PATIENCE = 2  # times as many rollouts as would give enough windows to read if nobody fell are made at most


@dataclass(frozen=True)
class PretrainArgs:
    """Trains low-level skills from motion clips.

    Attributes:
        out: folder of the run: configuration, checkpoints, TensorBoard events, videos.
        resume: continue the run in that folder, bit for bit.
        skills: folder of trained skills whose networks a new run begins with; clips may be added to those they know, after them in the dataset.
        tracks: folder of a run that has followed some of the clips in simulation already (to be coached, with --train.coach.rounds, or rewarded for what physics allows, with
            --train.imitation-weight); the others are followed at the start.
        teachers: folders of trained skills that the run is taught first, each clip by the first of them that knows it and has been where it is asked (see --train.distill);
            RUN=CLIP,CLIP: by that one these alone, and their mirror images.
        config: every setting of the run, as flags.
    """

    out: Path
    resume: bool = False
    skills: Path | None = None
    tracks: Path | None = None
    teachers: tuple[str, ...] = ()
    config: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)


def main(args: Sequence[str]) -> None:
    if not args or args[0] in ("-h", "--help"):
        print(
            f"usage: run.py pretrain PRESET --out RUN [--skills RUN] [--tracks RUN] [--resume] [any setting]\npresets: {', '.join(PRESETS)}\nsettings: run.py pretrain walk --help"
        )
        return
    base = preset(args[0])
    prog = f"run.py pretrain {args[0]}"
    given = parse_training(PretrainArgs(tyro.MISSING, config=base), args[1:], prog, "preset", lambda config: config.preset)
    with process_group(choose_device(given.config.device, given.config.physics)):
        train(given.config, given.out, given.resume, given.skills, given.tracks, given.teachers)


def train(config: RunConfig, out: Path, resume: bool, skills: Path | None = None, tracks: Path | None = None, teachers: Sequence[str] = ()) -> None:
    """Runs a training to its end, a limit or Ctrl-C; saves on the way and at the end."""
    if tracks is not None and not config.train.coach.rounds and not config.train.imitation_weight:
        raise ValueError(f"run.py pretrain: --tracks: got {tracks} without --train.coach.rounds or --train.imitation-weight; expected one of them")
    read, least = config.train.read, (config.env.history + WINDOW_EVERY) * config.env.control_dt
    if config.train.latents.dim and read.windows and read.seconds < least:
        raise ValueError(f"read: seconds: got {read.seconds:g}; expected at least {least:.2g}, so that there are windows to read")
    character, library = load_world(config)
    env = make_env(config, character, library, own_seed(config.seed))
    demos = DemoWindows(library, env.layout, config.env.control_dt, config.env.history)
    learner = make_learner(config, env)
    known = begin_with(learner, skills, library.names) if skills is not None and not resume else ()
    teacher: ClipActions | None
    with writing(out):
        guided = followed(config, env, out, tracks) if (config.train.coach.rounds or tracks is not None) and not resume else None
        ways = ways_of(config, env, out, guided)
        if config.train.imitation_weight:
            learner.imitate(ways, env.layout.tracking_weights(*config.train.imitation_travel))
        if guided is not None and config.train.coach.rounds:
            teacher = be_coached(config, env, learner, known, out, guided)
        else:
            teacher = load_lessons(out, library) if config.train.coach.rounds else clip_teacher(config, character, library)
    if teacher is not None and config.train.clone.steps and not config.train.coach.rounds and skills is None and not teachers and not resume:
        error = clone(learner, teacher, falls(env), config.train.clone, use_bf16(config.train.bf16, env.device))
        if rank() == 0:
            print(f"cloned the clips' actions: root mean square error {error:.3f} of the range of actions")
    if teachers and not resume:
        be_taught(config, env, learner, teachers)
    if config.train.retry.share:
        learner.retry(env)
    if config.train.off_policy.updates:
        learner.learn_off_policy()
    folder = RunFolder(out, to_dict(config), clips=library.names)
    obs = begin(env, learner, folder, resume)
    with writing(out):
        if rank() == 0:
            save_yaml(config, out / CONFIG)
    reporter = Reporter(out, config.train.max_samples, config.train.max_minutes, silent=rank() > 0)
    last_video = learner.seconds  # the same on all ranks

    def show() -> None:
        nonlocal last_video
        if env.assist is not None and learner.iteration % config.train.log_every == 0:
            reporter.scalar("env/assist_level", float(env.assist.lift.level), learner.samples)
            reporter.scalar("env/hold_level", float(env.assist.hold.level), learner.samples)
        if config.train.video_every_s and learner.seconds - last_video >= config.train.video_every_s:
            last_video = learner.seconds
            if rank() == 0:
                preview(config, character, library, learner, reporter, out)

    ended = run_training(lambda told: pretrain(env, demos, learner, obs, told, teacher), learner, env, folder, config.train, reporter, f"pretrain {config.preset}", show)
    if ended and config.train.latents.dim and read.windows:
        finish_reading(config, character, library, learner, demos, folder)


def finish_reading(config: RunConfig, character: Character, library: MotionLibrary, learner: Learner, demos: DemoWindows, folder: RunFolder) -> None:
    """Teaches the encoder on what is saved as trained, and saves it with that; the checkpoint that a training goes on from stays as it is."""
    start, read, dt = time.perf_counter(), config.train.read, config.env.control_dt
    env = make_env(unaided(config), character, library, own_seed(config.seed))
    learner.settle()
    seen, latents, count, steps = [], [], 0, round(read.seconds / dt)
    for _ in range(PATIENCE * math.ceil(read.windows / (env.num_envs * (steps // WINDOW_EVERY)))):
        z = learner.draw_latents(env.num_envs, learner.generator)
        rolled = roll_out(env, learner, z, steps, config.env.history)
        seen.append(learner.style.see(rolled.windows).half())  # normalised, so that half precision will do
        latents.append(z[rolled.window_owner])
        count += len(rolled.windows)
        if count >= read.windows or not len(rolled.windows):  # nobody stays on their feet
            break
    if not agree(count > 0, env.device):  # all ranks learn, or none
        return
    cosine = learn_to_read(learner.style, torch.cat(seen), torch.cat(latents), demos, read.updates, learner.generator, use_bf16(config.train.bf16, env.device))
    if rank() == 0:
        folder.save_product(learner)
        print(f"taught the encoder once more in {time.perf_counter() - start:.0f} s: mean cosine {cosine:.2f} of latents and what it reads of what they do")


def preview(config: RunConfig, character: Character, library: MotionLibrary, learner: Learner, reporter: Reporter, out: Path) -> None:
    """A short video and the speed of each latent, from characters of their own, so that training goes on as if it had not happened."""
    recording, captions, speed = act_out(unaided(config), character, library, learner, random_latents(learner, 6, seed=0), seconds=4.0, seed=0)
    reporter.histogram("skills/speed_m_s", speed, learner.samples)
    for k, value in enumerate(speed.tolist()):
        reporter.scalar(f"skills/speed_m_s_{k}", value, learner.samples)
    renderer = make_renderer(character, 320, 320)
    frames = list(skill_frames(recording, captions, renderer, columns=3))
    renderer.close()
    write_video(frames, out / "videos" / f"{learner.samples:012d}.mp4", recording.fps)
    reporter.video("skills", torch.from_numpy(np.stack(frames[::2])).permute(0, 3, 1, 2), recording.fps / 2, learner.samples)
