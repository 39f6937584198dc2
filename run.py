"""The suite's command line: fetch clips, pretrain skills, evaluate, render, benchmark. ``python run.py`` lists the commands."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.progress import track

from ase import checkpoint
from ase.distributed import RankLostError, own_seed, process_group, rank
from ase.evaluate import evaluate
from ase.latents import sample_latents
from ase.learner import Learner
from ase.metrics import planar_speed
from ase.pretrain import pretrain
from ase.report import Reporter, measures_table
from ase.run_folder import CHECKPOINT, CONFIG, SKILLS, RunFolder
from ase.symmetry import Mirror
from ase.timing import time_training
from cfg.cli import fail, parse
from cfg.load import closest, from_dict, load_yaml, save_yaml, to_dict
from cfg.presets import PRESETS, preset
from cfg.schema import RunConfig
from envs import bench
from envs.character import Character, load_character
from envs.demos import DemoWindows
from envs.engines import choose_device, make_physics, share_of_cores
from envs.film import motion_strip, write_image, write_video
from envs.humanoid import EnvConfig, HumanoidEnv
from envs.mirror import mirror_map
from envs.recording import SkillRecording, record_skills, skill_frames
from envs.render import make_renderer
from envs.resets import StartMix
from motions.check import check_clip
from motions.dataset import build_library, load_clip, load_dataset
from motions.library import MotionLibrary
from motions.sources import fetch

DATASETS = Path(__file__).parent / "cfg" / "datasets"


# ---------------------------------------------------------------------------------------------------------------- wiring


def make_env(config: RunConfig, character: Character, library: MotionLibrary, seed: int, settings: EnvConfig | None = None) -> HumanoidEnv:
    """Environments of a run (or with other ``settings``) on the library's device."""
    settings = settings or config.env
    physics = make_physics(config.physics, character.model, settings.num_envs, settings.num_threads, library.device)
    return HumanoidEnv(settings, character, physics, library, torch.Generator(library.device).manual_seed(seed))


def make_learner(config: RunConfig, env: HumanoidEnv) -> Learner:
    """A fresh learner that fits the environment."""
    window = (config.env.history, env.layout.style_dim)
    found = mirror_map(env.character)
    mirror = Mirror(found.obs_index, found.obs_sign, found.action_index, found.action_sign) if found else None
    return Learner(config.train, env.obs_dim, env.rest_action, window, env.num_envs, config.env.control_dt, env.device, config.seed, mirror, env.library.mirrored)


def load_world(config: RunConfig) -> tuple[Character, MotionLibrary]:
    """Character and clips of a run, on its device; sets torch's threads."""
    torch.set_num_threads(share_of_cores(config.num_threads))
    device = choose_device(config.device, config.physics)
    character = load_character(config.env.character, config.env.sim_dt)
    return character, build_library(load_dataset(config.dataset, DATASETS), config.clips_dir, character.skeleton, device)


def load_skills(run: Path, clips_dir: str = "") -> tuple[RunConfig, dict[str, Any]]:
    """Configuration and tensors of a trained run (or of a folder that ships skills)."""
    if not (run / SKILLS).is_file():
        raise ValueError(f"run {run}: holds no {SKILLS}; expected the folder that pretrain wrote with --out")
    tree, info = checkpoint.load(run / SKILLS, "skills")
    config = from_dict(RunConfig, info["config"], f"checkpoint {run / SKILLS}")
    return (replace(config, clips_dir=clips_dir) if clips_dir else config), tree


def load_policy(config: RunConfig, tree: dict[str, Any], env: HumanoidEnv, where: Path) -> Learner:
    """A learner for acting and judging, with the networks of ``tree``."""
    learner = make_learner(config, env)
    for name, module in learner.modules().items():
        checkpoint.load_module(module, tree.get(name, {}), f"{where}: {name}")
    return learner


# -------------------------------------------------------------------------------------------------------------- pretrain


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


def pretrain_command(args: Sequence[str]) -> None:
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


def act_out(
    config: RunConfig, character: Character, library: MotionLibrary, learner: Learner, count: int, seconds: float, seed: int, clip: str = ""
) -> tuple[SkillRecording, list[str], torch.Tensor]:
    """Lets ``count`` characters (one if there are no latents) act without noise from the rest pose or from ``clip``: recording, captions, speeds ``[L]``."""
    count = count if config.train.latents.dim else 1
    settings = replace(config.env, num_envs=count, start=StartMix(clip=0, default=1), terminate_on_fall=True, episode_length_s=seconds + 1)
    env = make_env(replace(config, physics="auto"), character, library, seed, settings)
    z = sample_latents(count, config.train.latents.dim, torch.Generator().manual_seed(seed)).to(env.device)
    recording = record_skills(env, lambda obs: learner.act(obs, z), lambda windows: learner.style.rewards(windows, z)[0], seconds, clip)
    speed = planar_speed(recording.pose, torch.ones(recording.pose.shape[:2], dtype=torch.bool), settings.control_dt)
    numbers = zip(speed, recording.style, recording.fell, strict=True)
    return recording, [f"latent {k}: {v:.2f} m/s, style {s:.2f}{', fell' if f else ''}" for k, (v, s, f) in enumerate(numbers)], speed


# ---------------------------------------------------------------------------------------------------------------- render


@dataclass(frozen=True)
class RenderArgs:
    """Renders skills of a run as a video, a strip of pictures, or both.

    Attributes:
        run: folder that pretrain wrote, or shipped skills such as ase/pretrained/locomotion.
        out: video file (.mp4). strip: picture file (.png) with one row of frames a latent.
        latents: how many latents side by side. seconds: length. size: pixels of one character's square. seed: draws the latents.
        clip: start on this clip and show it beside the simulation.
        strip_seconds: the stretch that a strip covers, from the middle on.
        clips_dir: folder of the clips, if not the run's.
    """

    run: tyro.conf.Positional[Path]
    out: Path | None = None
    strip: Path | None = None
    latents: int = 6
    seconds: float = 10.0
    size: int = 400
    seed: int = 0
    clip: str = ""
    strip_seconds: float = 1.2
    clips_dir: str = ""


def render_command(args: Sequence[str]) -> None:
    given = parse(RenderArgs, args, "run.py render")
    if given.out is None and given.strip is None:
        raise ValueError("run.py render: got neither --out nor --strip; expected at least one")
    config, tree = load_skills(given.run, given.clips_dir)
    config = replace(config, device="cpu", physics="cpu")  # a few characters
    character, library = load_world(config)
    learner = load_policy(config, tree, make_env(config, character, library, 0, replace(config.env, num_envs=1)), given.run)
    recording, captions, _ = act_out(config, character, library, learner, given.latents, given.seconds, given.seed, given.clip)
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
        rows = [motion_strip(renderer, motion[part], 8, recording.fps, text) for motion, text in zip(recording.motions, captions, strict=True)]
        print(f"wrote {write_image(np.concatenate(rows), given.strip)}")
        renderer.close()


# -------------------------------------------------------------------------------------------------------------- evaluate


@dataclass(frozen=True)
class EvaluateArgs:
    """Measures a run's skills: many latents, each held for a whole rollout, acting without noise.

    Attributes:
        run: folder that pretrain wrote, or shipped skills.
        json: file that receives the measures.
        latents, replicas: latents, and rollouts of each from different starts. seconds: length of a rollout. seed: of latents and starts.
        clips_dir: folder of the clips, if not the run's. device, physics: as in pretrain.
    """

    run: tyro.conf.Positional[Path]
    json: Path | None = None
    latents: int = 64
    replicas: int = 4
    seconds: float = 10.0
    seed: int = 0
    clips_dir: str = ""
    device: str = "auto"
    physics: str = "auto"


def evaluate_command(args: Sequence[str]) -> None:
    given = parse(EvaluateArgs, args, "run.py evaluate")
    config, tree = load_skills(given.run, given.clips_dir)
    config = replace(config, device=given.device, physics=given.physics)
    character, library = load_world(config)
    start = replace(config.env.start, fallen=0.0, recovery=0.0, grace_s=0.0)
    settings = replace(config.env, num_envs=given.latents * given.replicas, start=start, terminate_on_fall=True, episode_length_s=given.seconds + 1)
    env = make_env(config, character, library, given.seed, settings)
    learner = load_policy(config, tree, env, given.run)
    demos = DemoWindows(library, env.layout, settings.control_dt, settings.history)
    measures = evaluate(env, learner, demos, given.latents, given.seconds, settings.control_dt, given.seed)
    measures["clip_speed_m_s"] = {name: round(float(library.mean_speed(k)), 4) for k, name in enumerate(library.names)}
    Console().print(measures_table(measures, str(given.run)))
    if given.json:
        write_json(given.json, measures)


# ----------------------------------------------------------------------------------------------------------------- bench


@dataclass(frozen=True)
class BenchArgs:
    """Measures speed on this machine: environment against bare physics, against one process an environment, and training end to end.

    Attributes:
        json: file that receives the figures. preset: whose training is timed. iterations: training iterations timed, after as many untimed.
        seconds: time for each environment measurement. sizes: numbers of environments for the scaling table.
        clips_dir: folder of the clips. device, physics: as in pretrain; on a GPU there is no comparison with bare CPU physics.
        num_envs: environments of the training that is timed, if not the preset's.
    """

    json: Path | None = None
    preset: str = "locomotion"
    iterations: int = 12
    seconds: float = 20.0
    sizes: tuple[int, ...] = (256, 1024, 2048, 4096, 8192)
    clips_dir: str = "clips"
    device: str = "auto"
    physics: str = "auto"
    num_envs: int = 0


def cpu_figures(given: BenchArgs, config: RunConfig, character: Character, library: MotionLibrary, threads: int) -> dict[str, Any]:
    """The environment against bare physics, against one process an environment, and by number of environments."""
    speed = bench.bench_env(character, library, config.env.num_envs, threads, given.seconds, config.env)
    one_each = bench.bench_async(library, 2, given.seconds, config.env)
    return {
        "bare_control_steps_per_s": round(speed.bare),
        "env_control_steps_per_s": round(speed.env),
        "env_over_bare": round(speed.share, 3),
        "async_vector_env_control_steps_per_s": round(one_each),
        "env_over_async": round(speed.env / one_each, 2),
        "scaling_control_steps_per_s": {str(n): round(v) for n, v in bench.bench_scaling(character, library, given.sizes, threads, given.seconds, config.env).items()},
    }


def bench_command(args: Sequence[str]) -> None:
    given = parse(BenchArgs, args, "run.py bench")
    config = replace(preset(given.preset), clips_dir=given.clips_dir, device=given.device, physics=given.physics)
    if given.num_envs:
        config = replace(config, env=replace(config.env, num_envs=given.num_envs))
    character, library = load_world(config)
    threads = share_of_cores(config.env.num_threads)
    env = make_env(config, character, library, config.seed)
    timing = time_training(env, DemoWindows(library, env.layout, config.env.control_dt, config.env.history), make_learner(config, env), given.iterations)
    figures: dict[str, Any] = {"preset": config.preset, "device": bench.device_name(library.device), "num_threads": threads, "num_envs": config.env.num_envs, **timing}
    figures["peak_memory_bytes"] = bench.peak_memory_bytes()  # of the training, before the larger environments below
    if library.device.type == "cuda" or config.physics == "warp":
        makers = {n: partial(make_env, config, character, library, config.seed, replace(config.env, num_envs=n)) for n in given.sizes}
        figures["scaling_control_steps_per_s"] = {str(n): round(bench.env_rate(make(), given.seconds)) for n, make in makers.items()}
    else:
        figures |= cpu_figures(given, config, character, library, threads)
    for key, value in figures.items():
        print(f"{key}: {value}")
    if given.json:
        write_json(given.json, figures)


# --------------------------------------------------------------------------------------------------------------- motions


@dataclass(frozen=True)
class FetchArgs:
    """Obtains the free human clips (and mirror images) that the pybullet package ships, with their licences.

    Attributes:
        out: folder for the clips. wheel: the package's wheel, where there is no network.
    """

    out: Path = Path("clips")
    wheel: Path | None = None


@dataclass(frozen=True)
class CheckArgs:
    """Reports what is worth knowing about clips before training on them.

    Attributes:
        clips: names in the clips folder; all if none is given. clips_dir: that folder. character: whose skeleton.
    """

    clips: tyro.conf.Positional[tuple[str, ...]] = ()
    clips_dir: Path = Path("clips")
    character: str = "humanoid"


def motions_command(args: Sequence[str]) -> None:
    if args and args[0] == "fetch":
        given = parse(FetchArgs, args[1:], "run.py motions fetch")
        fetch(given.out, wheel=given.wheel)
    elif args and args[0] == "check":
        wanted = parse(CheckArgs, args[1:], "run.py motions check")
        skeleton = load_character(wanted.character).skeleton
        for name in wanted.clips or sorted(p.stem for p in wanted.clips_dir.glob("*.npz")):
            clip = load_clip(name, wanted.clips_dir)
            findings = check_clip(clip, skeleton)
            print(
                f"{name}: {clip.duration_s:.2f} s, {clip.num_frames} frames at {clip.fps:g} Hz, loop {clip.loop}; {'; '.join(f.message for f in findings) or 'nothing to report'}"
            )
    else:
        raise ValueError(f"run.py motions: command {args[0] if args else '(none)'}: unknown. Available: fetch, check")


# ------------------------------------------------------------------------------------------------------------------ main


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Writes measures; raises ValueError where the path cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1) + "\n")
    except OSError as error:
        raise ValueError(f"file {path}: cannot be written: {error.strerror}") from None
    print(f"wrote {path}")


COMMANDS: dict[str, tuple[Callable[[Sequence[str]], None], str]] = {
    "motions": (motions_command, "fetch the free clips (motions fetch) or report on clips (motions check)"),
    "pretrain": (pretrain_command, "train low-level skills from clips"),
    "evaluate": (evaluate_command, "measure the skills of a run"),
    "render": (render_command, "video or strip of a run's skills"),
    "bench": (bench_command, "speed of environment and training on this machine"),
}


def main(argv: Sequence[str]) -> int:
    """Runs one command; bad input ends with one line on standard error and status 2."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: run.py COMMAND ... (COMMAND --help shows its flags)\n" + "\n".join(f"  {name:10} {what}" for name, (_, what) in COMMANDS.items()))
        return 0
    try:
        if argv[0] not in COMMANDS:
            raise ValueError(f"command {argv[0]}: unknown.{closest(argv[0], COMMANDS)} Available: {', '.join(COMMANDS)}")
        COMMANDS[argv[0]][0](argv[1:])
    except (ValueError, RankLostError) as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
