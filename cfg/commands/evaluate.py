"""``run.py evaluate``: how good is what was trained?"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from PIL import Image
from rich.console import Console

from ase.by_clip import begin_clips, play_clips
from ase.clip_space import ClipSpace
from ase.confidence import over_seeds
from ase.convergence import verdict
from ase.evaluate import COVERAGE_SHARE, evaluate
from ase.evaluate_task import play_episodes, spread_over_seeds
from ase.learner import Learner
from ase.report import measures_table, task_table
from ase.robustness import Riser, fall_trial, knock_trial
from ase.run_folder import CONTROLLER
from ase.transitions import measure_transitions
from cfg.cli import parse
from cfg.page import learning_curves, skills_page
from cfg.schema import RunConfig
from cfg.task_wiring import load_controller
from cfg.wiring import act_out, latents_of, load_policy, load_skills, load_world, make_env, random_latents, write_json
from envs.character import Character, load_character
from envs.clip_poses import ClipPoses
from envs.demos import DemoWindows
from envs.film import motion_strip
from envs.pushes import PushConfig
from envs.quality import QualityRecorder
from envs.render import make_renderer
from envs.resets import StartMix
from envs.throws import ThrowConfig
from motions.library import MotionLibrary

BY_CLIP, BY_CLIP_S, BEGIN_S = 16, 5.0, 6.0  # characters that play each clip with its own latents, and for how long: those that begin on it, and in the rest pose
BEFORE_S, AFTER_S = 3.0, 5.0  # before a push or throw; a pushed or fallen character has the latter to get to its feet
RANDOM_SHOWN, SHOWN_S, SHOWN_SIZE, SHOWN_FRAMES = 6, 5.0, 160, 8  # the page's pictures: latents, seconds (the second half is seen), pixels, frames
NEVER_S = 3600.0  # pushes and throws come when they are asked for


@dataclass(frozen=True)
class EvaluateArgs:
    """Measures what a run learned, acting without noise. Of skills: many latents, each held for a whole rollout. Of a task controller: many episodes, over seeds.

    Attributes:
        run: folder that pretrain or train-task wrote, or one that the suite ships.
        json: file that receives the measures.
        html: skills: file that receives them as a page to look at.
        latents: skills: how many. replicas: skills: rollouts of each from different starts. transitions: skills: rollouts in which the latent changes once.
        pushes: skills: how many characters are pushed once, at 500 to 1,000 N for half a second. throws: skills: how many have a box of 5 kg thrown at them,
            at 5 to 10 m/s. falls: skills: how many start lying on the floor.
        guard: skills: with the guard that they have, if they do (run.py guard).
        seconds: length of a rollout; a controller's episodes are as long as in training.
        episodes: controller: how many for each seed. seeds: how many, each with latents, starts and targets of its own.
        seed: of latents, starts and targets; the first one of several.
        clips_dir: folder of the clips, if not the run's.
        device, physics: as in pretrain.
    """

    run: tyro.conf.Positional[Path]
    json: Path | None = None
    html: Path | None = None
    latents: int = 128
    replicas: int = 4
    transitions: int = 1024
    pushes: int = 0
    throws: int = 0
    falls: int = 0
    guard: bool = True
    seconds: float = 10.0
    episodes: int = 256
    seeds: int = 3
    seed: int = 0
    clips_dir: str = ""
    device: str = "auto"
    physics: str = "auto"


def main(args: Sequence[str]) -> None:
    given = parse(EvaluateArgs, args, "run.py evaluate")
    for name, number in (("latents", given.latents), ("replicas", given.replicas), ("episodes", given.episodes), ("seeds", given.seeds)):
        if number < 1:
            raise ValueError(f"run.py evaluate: --{name}: got {number}; expected at least 1")
    trials = given.pushes, given.throws, given.falls
    if min(trials) < 0 or (any(trials) and (given.run / CONTROLLER).is_file()):
        raise ValueError(f"run.py evaluate: --pushes, --throws, --falls: got {', '.join(map(str, trials))}; expected numbers of trials of skills, not of a task controller")
    if given.transitions < 0:
        raise ValueError(f"run.py evaluate: --transitions: got {given.transitions}; expected at least 0")
    if given.html and (given.run / CONTROLLER).is_file():
        raise ValueError(f"run.py evaluate: --html: got task controller {given.run}; expected skills (for controllers: run.py compare RUN RUN --html FILE)")
    if not given.guard and (given.run / CONTROLLER).is_file():
        raise ValueError(f"run.py evaluate: --no-guard: got task controller {given.run}; expected skills")
    if (given.run / CONTROLLER).is_file():
        measures = evaluate_controller(given)
        table = task_table(measures, str(given.run))
    else:
        measures = evaluate_skills(given)
        table = measures_table(measures, str(given.run))
    if given.json:
        write_json(given.json, measures)
    if given.html:
        print(f"wrote {skills_page(given.html, str(given.run), measures, learning_curves(given.run), thumbnails(given))}")
    Console().print(table)


def skills_of(given: EvaluateArgs) -> tuple[RunConfig, dict[str, Any]]:
    """Configuration and tensors of the run, without its guard if that is not wanted."""
    config, tree = load_skills(given.run, given.clips_dir)
    return config, {name: part for name, part in tree.items() if given.guard or name != "guard"}


def evaluate_skills(given: EvaluateArgs) -> dict[str, Any]:
    """See `ase.evaluate.evaluate`, `ase.transitions`, `envs.quality`, `ase.by_clip`, `ase.robustness`, `ase.convergence`; over seeds as in `ase.confidence`. Where clips have
    latents of their own, ``begun_from_rest`` is the share of those that fill at least a quarter of the seconds of who begins in the rest pose under their latents, and
    ``joint_error_deg`` the mean over clips of how far joints are from the nearest pose of the clip (`envs.clip_poses`)."""
    config, tree = skills_of(given)
    config = replace(config, device=given.device, physics=given.physics)
    character, library = load_world(config)
    start = replace(config.env.start, fallen=0.0, recovery=0.0)
    settings = replace(config.env, num_envs=given.latents * given.replicas, start=start, terminate_on_fall=True, episode_length_s=given.seconds + 1)
    env = make_env(config, character, library, given.seed, settings)
    learner = load_policy(config, tree, env, given.run)
    space, dt = ClipSpace(DemoWindows(library, env.layout, settings.control_dt, settings.history)), settings.control_dt
    found = []
    for seed in range(given.seed, given.seed + given.seeds):
        env.reseed(seed)
        recorder = QualityRecorder(env)
        measures = evaluate(env, learner, space, given.latents, given.seconds, dt, seed, recorder) | recorder.measures()
        if config.train.latents.dim and given.transitions:
            measures |= measure_transitions(env, learner, space, given.transitions, dt, torch.Generator(env.device).manual_seed(seed))
        found.append(measures | robustness(given, seed, config, character, library, learner))
    measures = over_seeds(found)
    measures["clip_speed_m_s"] = {name: round(float(library.mean_speed(k)), 4) for k, name in enumerate(library.names)}
    if learner.anchors is not None:
        each = make_env(config, character, library, given.seed, replace(settings, num_envs=BY_CLIP * library.num_clips, episode_length_s=BY_CLIP_S + 1))
        played = play_clips(each, learner, library, ClipPoses(library, env.layout, dt), BY_CLIP_S, dt, given.seed)
        resting = make_env(config, character, library, given.seed, replace(settings, num_envs=each.num_envs, start=StartMix(clip=0, default=1), episode_length_s=BEGIN_S + 1))
        begun = begin_clips(resting, learner, space, BEGIN_S, dt, given.seed)
        measures["clip_latents"] = {name: played[name] | {"from_rest": begun[name]} for name in library.names}
        errors = [error for clip in played.values() if (error := clip["joint_error_deg"]) is not None]
        measures["joint_error_deg"] = round(sum(errors) / len(errors), 4) if errors else None
        measures["begun_from_rest"] = sum(share >= COVERAGE_SHARE for share in begun.values()) / library.num_clips
    return measures | {"convergence": verdict(learning_curves(given.run), measures["clips"])}


def thumbnails(given: EvaluateArgs) -> dict[str, bytes]:
    """A strip of pictures of each clip's own latent, mirror images left out, or of six random latents where clips have none: PNG files by name."""
    config, tree = skills_of(given)
    config = replace(config, device="cpu", physics="cpu")  # a few characters
    character, library = load_world(config)
    learner = load_policy(config, tree, make_env(config, character, library, 0, replace(config.env, num_envs=1)), given.run)
    names = [name for name, mirrored in zip(library.names, library.mirrored.tolist(), strict=True) if mirrored < 0 or not name.endswith("_mirror")]
    named = latents_of(names, learner, library, given.run) if learner.anchors is not None else random_latents(learner, RANDOM_SHOWN, given.seed)
    recording, captions, _ = act_out(config, character, library, learner, named, SHOWN_S, given.seed)
    renderer = make_renderer(character, SHOWN_SIZE, SHOWN_SIZE)
    first = len(recording.qpos) // 2
    found = {}
    for name, motion, caption in zip(named, recording.motions, captions, strict=True):
        out = io.BytesIO()
        Image.fromarray(motion_strip(renderer, motion[first:], SHOWN_FRAMES, recording.fps, caption)).save(out, "PNG")
        found[name] = out.getvalue()
    renderer.close()
    return found


def robustness(given: EvaluateArgs, seed: int, config: RunConfig, character: Character, library: MotionLibrary, learner: Learner) -> dict[str, Any]:
    """See `ase.robustness`; every character acts under a random latent of its own, and under one that fits how it lies once it has fallen, if the skills can get up."""
    found: dict[str, Any] = {}
    for count, kind in ((given.pushes, "push"), (given.throws, "throw"), (given.falls, "fall")):
        if not count:
            continue
        start = StartMix(clip=0, default=0, fallen=1, grace_s=0.0) if kind == "fall" else StartMix(clip=0, default=1)
        push, throw = PushConfig(every_s=NEVER_S if kind == "push" else 0.0), ThrowConfig(every_s=NEVER_S if kind == "throw" else 0.0)
        settings = replace(config.env, num_envs=count, start=start, push=push, throw=throw, terminate_on_fall=False, episode_length_s=NEVER_S, min_root_height_m=0.0)
        world = load_character(settings.character, settings.sim_dt, prop=throw.prop, stiffness=settings.stiffness) if kind == "throw" else character
        env = make_env(config, world, library, seed, settings)
        z = learner.draw_latents(count, torch.Generator(env.device).manual_seed(seed))
        act = Riser(env, learner, z, seed)
        if kind == "fall":
            found |= fall_trial(env, act, AFTER_S, settings.control_dt)
        else:
            found |= knock_trial(env, kind, env.disturb, act, BEFORE_S, push.seconds, AFTER_S, settings.control_dt)
    return found


def evaluate_controller(given: EvaluateArgs) -> dict[str, Any]:
    """See `ase.evaluate_task.play_episodes`; episodes start in the rest pose, as in ASE."""
    world, act = load_controller(given.run, given.clips_dir, given.device, given.physics)
    parts, diverged = [], 0
    for seed in range(given.seed, given.seed + given.seeds):
        env = world.make_env(given.episodes, seed, StartMix(clip=0, default=1))
        tally = env.tasks
        parts.append(play_episodes(env, tally, act, world.low.style.likeness, tally.config.episode_steps // world.steps_each, world.steps_each))
        diverged += env.num_diverged
    config = world.config
    return spread_over_seeds(parts) | {
        "task": config.task,
        "from_scratch": config.from_scratch,
        "episodes": given.episodes,
        "seeds": given.seeds,
        "seconds": config.episode_length_s,
        "diverged": diverged,
    }
