"""Objects from settings: what every command builds before it does its own work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ase import checkpoint
from ase.actor_critic import ActorCritic
from ase.learner import Learner
from ase.metrics import planar_speed
from ase.normalizer import Normalizer
from ase.run_folder import SKILLS
from ase.symmetry import Mirror
from cfg.load import closest, from_dict
from cfg.schema import RunConfig
from envs.assist import AssistConfig
from envs.character import Character, load_character
from envs.engines import choose_device, make_physics, share_of_cores
from envs.features import joint_features
from envs.humanoid import EnvConfig, HumanoidEnv
from envs.mirror import mirror_map
from envs.props import Prop
from envs.recording import SkillRecording, record_skills
from envs.resets import StartMix, floor_loops
from motions.dataset import build_library, load_dataset
from motions.library import MotionLibrary

REMEMBERED = 0.02  # weight of the samples of trained skills in the running statistics of a training that begins with them
DATASETS = Path(__file__).parent / "datasets"


def make_env(config: RunConfig, character: Character, library: MotionLibrary, seed: int, settings: EnvConfig | None = None) -> HumanoidEnv:
    """Environments of a run (or with other ``settings``) on the library's device."""
    settings = settings or config.env
    physics = make_physics(config.physics, character.model, settings.num_envs, settings.num_threads, library.device)
    return HumanoidEnv(settings, character, physics, library, torch.Generator(library.device).manual_seed(seed))


def make_learner(config: RunConfig, env: HumanoidEnv) -> Learner:
    """A fresh learner that fits the environment."""
    window = (config.env.history, env.layout.style_dim)
    return Learner(
        config.train,
        env.obs_dim,
        env.rest_action,
        window,
        env.num_envs,
        config.env.control_dt,
        env.device,
        config.seed,
        make_mirror(env.character),
        mirrored_clips=env.library.mirrored,
        looping_clips=env.library.loops,
        travel_columns=env.layout.travel_columns,
        still=joint_features(env.character.skeleton, env.library.still_joints.nonzero().flatten().tolist()),
        clip_weights=env.library.weights,
        floor_clips=floor_loops(env.library, env.character, config.env.control_dt),
    )


def make_mirror(character: Character, signs: Sequence[float] = ()) -> Mirror | None:
    """The character's reflection, if it has one; with ``signs [G]`` of what observations have behind the character's own."""
    found = mirror_map(character)
    if found is None:
        return None
    index = torch.cat((found.obs_index, len(found.obs_index) + torch.arange(len(signs))))
    return Mirror(index, torch.cat((found.obs_sign, torch.tensor(signs))), found.action_index, found.action_sign)


def load_world(config: RunConfig, prop: Prop | None = None) -> tuple[Character, MotionLibrary]:
    """Character (with ``prop`` beside it, or the box that is thrown at it) and clips of a run, on its device; sets torch's threads."""
    torch.set_num_threads(share_of_cores(config.num_threads))
    device = choose_device(config.device, config.physics)
    character = load_character(config.env.character, config.env.sim_dt, prop=prop or config.env.throw.prop, stiffness=config.env.stiffness)
    return character, build_library(load_dataset(config.dataset, DATASETS), config.clips_dir, character.skeleton, device)


def read_skills(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors of a trained run, and what its file says of them; raises ValueError if there is none."""
    if not (run / SKILLS).is_file():
        raise ValueError(f"run {run}: holds no {SKILLS}; expected the folder that pretrain wrote with --out")
    return checkpoint.load(run / SKILLS, "skills")


def load_skills(run: Path, clips_dir: str = "") -> tuple[RunConfig, dict[str, Any]]:
    """Configuration, without help, and tensors of a trained run (or of a folder that ships skills)."""
    tree, info = read_skills(run)
    config = unaided(from_dict(RunConfig, info["config"], f"checkpoint {run / SKILLS}"))
    return (replace(config, clips_dir=clips_dir) if clips_dir else config), tree


def unaided(config: RunConfig) -> RunConfig:
    """A run's configuration without the help that training gives (`envs.assist`), and without starts on the way to clips (`envs.approach`): what is shown or measured, the skills
    do alone, from the same starts whatever they were trained from."""
    return replace(config, env=replace(config.env, assist=AssistConfig(), start=replace(config.env.start, approach=0.0)))


def load_policy(config: RunConfig, tree: dict[str, Any], env: HumanoidEnv, where: Path) -> Learner:
    """A learner for acting and judging, with the networks of ``tree``, and its guard, if it has one."""
    learner = make_learner(config, env)
    load_networks(learner, tree, where)
    if "guard" in tree:
        learner.be_guarded(tree["guard"], f"{where}: guard")
    return learner


def load_networks(learner: ActorCritic, tree: dict[str, Any], where: Path) -> None:
    """Gives ``learner`` the networks and normalisers of ``tree``, which was read from ``where``; raises ValueError where one does not fit."""
    for name, module in learner.modules().items():
        checkpoint.load_module(module, tree.get(name, {}), f"{where}: {name}")


def begin_with(learner: Learner, run: Path, clips: tuple[str, ...]) -> tuple[str, ...]:
    """Gives a fresh learner of ``clips`` the networks of trained skills, and clips that those knew their old cells of the sphere. What depends on the clips alone (their pace)
    is not taken over: it is measured when training begins; and running statistics count for little, so that they follow what is new.

    Returns:
        Those of ``clips`` that the skills know.

    Raises:
        ValueError: no skills there, or of another character or other network sizes.
    """
    tree, info = read_skills(run)
    old = tree["style"].pop("anchors.points", None)
    if learner.anchors is not None:
        if old is not None:
            learner.anchors.keep(clips, old, tuple(info["clips"]))
        tree["style"]["anchors.points"] = learner.anchors.points
    tree["style"]["pace"] = learner.style.pace
    load_networks(learner, tree, run)
    for module in learner.modules().values():
        for part in module.modules():
            if isinstance(part, Normalizer):
                part.count.mul_(REMEMBERED)
    return tuple(name for name in clips if name in info["clips"])


def random_latents(learner: Learner, count: int, seed: int) -> dict[str, torch.Tensor]:
    """``count`` random latents (one empty one if there are none) by name."""
    z = learner.draw_latents(count if learner.config.latents.dim else 1, torch.Generator(learner.device).manual_seed(seed))
    return {f"latent {k}": latent for k, latent in enumerate(z)}


def latents_of(names: Sequence[str], learner: Learner, library: MotionLibrary, run: Path, book: dict[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
    """Latents by name: of a skill ``book`` (`cfg.skill_book`), or the centre of the cell of the clip of that name; of all clips, or all of the book if they have none, for ``all``.

    Raises:
        ValueError: a name that is neither in the book nor among the run's clips, or clips that have no latents of their own.
    """
    cells = dict(zip(library.names, learner.anchors.points, strict=True)) if learner.anchors is not None else {}
    named = cells | (book or {})
    if not named:
        raise ValueError(
            f"run {run}: its clips have no latents of their own; expected skills trained with --train.latents.clip-share, such as preset locomotion, or found by run.py skill"
        )
    if list(names) == ["all"]:
        return cells or {name: z.to(learner.device) for name, z in named.items()}
    for name in names:
        if name not in named:
            there = f"all, {', '.join(cells)}" if cells else "all"
            raise ValueError(f"skill {name}: not in run {run}.{closest(name, named)} Available: {there}; in its skill book: {', '.join(book or {}) or 'none'}")
    return {name: named[name].to(learner.device) for name in names}


def act_out(
    config: RunConfig, character: Character, library: MotionLibrary, learner: Learner, named: dict[str, torch.Tensor], seconds: float, seed: int, clip: str = ""
) -> tuple[SkillRecording, list[str], torch.Tensor]:
    """Lets a character for each of the ``named`` latents ``[Z]`` act without noise from the rest pose or from ``clip``: recording, captions, speeds ``[L]``."""
    count = len(named)
    settings = replace(config.env, num_envs=count, start=StartMix(clip=0, default=1), terminate_on_fall=True, episode_length_s=seconds + 1)
    env = make_env(replace(config, physics="auto"), character, library, seed, settings)
    z = torch.stack(list(named.values())).to(env.device)
    recording = record_skills(env, lambda obs: learner.act(obs, z), lambda windows: learner.style.rewards(windows, z)[0], seconds, clip, learner.goes_down(z))
    speed = planar_speed(recording.pose, torch.ones(recording.pose.shape[:2], dtype=torch.bool), settings.control_dt)
    numbers = zip(named, speed, recording.style, recording.fell, strict=True)
    return recording, [f"{name}: {v:.2f} m/s, style {s:.2f}{', fell' if f else ''}" for name, v, s, f in numbers], speed


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Writes measures; raises ValueError where the path cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1) + "\n")
    except OSError as error:
        raise ValueError(f"file {path}: cannot be written: {error.strerror}") from None
    print(f"wrote {path}")
