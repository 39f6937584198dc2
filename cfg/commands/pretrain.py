"""``run.py pretrain``: low-level skills from motion clips."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from ase.distributed import own_seed, process_group, rank
from ase.learner import Learner
from ase.pretrain import pretrain
from ase.report import Reporter
from ase.run_folder import CHECKPOINT, CONFIG, RunFolder
from cfg.cli import parse
from cfg.load import load_yaml, save_yaml, to_dict
from cfg.presets import PRESETS, preset
from cfg.schema import RunConfig
from cfg.wiring import act_out, load_world, make_env, make_learner
from envs.character import Character
from envs.demos import DemoWindows
from envs.engines import choose_device
from envs.film import write_video
from envs.recording import skill_frames
from envs.render import make_renderer
from motions.library import MotionLibrary


@dataclass(frozen=True)
class PretrainArgs:
    """Trains low-level skills from motion clips.

    Attributes:
        out: folder of the run: configuration, checkpoints, TensorBoard events, videos.
        resume: continue the run in that folder, bit for bit.
        config: every setting of the run, as flags.
    """

    out: Path
    resume: bool = False
    config: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)


def main(args: Sequence[str]) -> None:
    if not args or args[0] in ("-h", "--help"):
        print(f"usage: run.py pretrain PRESET --out RUN [--resume] [any setting]\npresets: {', '.join(PRESETS)}\nsettings: run.py pretrain walk --help")
        return
    base = preset(args[0])
    prog = f"run.py pretrain {args[0]}"
    given = parse(PretrainArgs, args[1:], prog, PretrainArgs(tyro.MISSING, config=base))
    if given.resume:
        saved = load_yaml(RunConfig, given.out / CONFIG)
        if saved.preset != base.preset:
            raise ValueError(f"run {given.out}: preset: got {base.preset}; expected {saved.preset}, which it was started with")
        given = parse(PretrainArgs, args[1:], prog, PretrainArgs(tyro.MISSING, config=saved))
    elif (given.out / CHECKPOINT).exists():
        raise ValueError(f"run {given.out}: holds a checkpoint already; expected --resume to continue it, or another --out")
    with process_group(choose_device(given.config.device, given.config.physics)):
        train(given.config, given.out, given.resume)


def train(config: RunConfig, out: Path, resume: bool) -> None:
    """Runs a training to its end, a limit or Ctrl-C; saves on the way and at the end."""
    character, library = load_world(config)
    env = make_env(config, character, library, own_seed(config.seed))
    demos = DemoWindows(library, env.layout, config.env.control_dt, config.env.history)
    learner = make_learner(config, env)
    folder = RunFolder(out, to_dict(config))
    obs = folder.resume(learner, env) if resume else env.reset()
    try:
        out.mkdir(parents=True, exist_ok=True)
        if rank() == 0:
            save_yaml(config, out / CONFIG)
    except OSError as error:
        raise ValueError(f"run {out}: cannot be written: {error.strerror}; expected a folder that can") from None

    stop: list[int] = []
    handlers = {sig: signal.signal(sig, lambda number, _: stop.append(number)) for sig in (signal.SIGINT, signal.SIGTERM)}
    last_save = last_video = learner.seconds  # the same on all ranks
    with Reporter(out, config.train.max_samples, config.train.max_minutes, silent=rank() > 0) as reporter:

        def on_iteration(metrics: dict[str, float]) -> bool:
            nonlocal last_save, last_video
            metrics |= {"env/diverged": float(env.num_diverged), "env/contact_overflows": float(env.physics.num_overflows)}
            if learner.iteration % config.train.log_every == 0:
                reporter.update(learner.samples, learner.seconds, metrics)
            if learner.seconds - last_save >= config.train.save_every_s:
                folder.save(learner, env)
                last_save = learner.seconds
            if config.train.video_every_s and learner.seconds - last_video >= config.train.video_every_s:
                if rank() == 0:
                    preview(config, character, library, learner, reporter, out)
                last_video = learner.seconds
            return not stop

        pretrain(env, demos, learner, obs, on_iteration)
        folder.save(learner, env)
        ending = f"; go on with: python run.py pretrain {config.preset} --out {out} --resume" if stop else ""
        reporter.say(f"{'stopped' if stop else 'done'} after {learner.samples:,} samples; saved in {out}{ending}")
    for sig, handler in handlers.items():
        signal.signal(sig, handler)


def preview(config: RunConfig, character: Character, library: MotionLibrary, learner: Learner, reporter: Reporter, out: Path) -> None:
    """A short video and the speed of each latent, from characters of their own, so that training goes on as if it had not happened."""
    recording, captions, speed = act_out(config, character, library, learner, count=6, seconds=4.0, seed=0)
    reporter.histogram("skills/speed_m_s", speed, learner.samples)
    for k, value in enumerate(speed.tolist()):
        reporter.scalar(f"skills/speed_m_s_{k}", value, learner.samples)
    renderer = make_renderer(character, 320, 320)
    frames = list(skill_frames(recording, captions, renderer, columns=3))
    renderer.close()
    write_video(frames, out / "videos" / f"{learner.samples:012d}.mp4", recording.fps)
    reporter.video("skills", torch.from_numpy(np.stack(frames[::2])).permute(0, 3, 1, 2), recording.fps / 2, learner.samples)
