"""What a policy is taught before it learns from acting, and rehearses: clips' actions, by inverse dynamics (`ase.cloning`); or it is coached along the clips (`ase.coaching`): ways
that physics allows are found and refined, then an expert that keeps to them tells the policy what to do; or other trained skills do (`ase.distillation`)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ase import checkpoint
from ase.actor_critic import use_bf16
from ase.cloning import remember
from ase.coaching import Round, coach
from ase.distillation import ANY, Landmarks, Master, distill
from ase.distributed import rank
from ase.learner import Learner
from cfg.schema import RunConfig
from cfg.wiring import read_skills
from envs.approach import stands
from envs.character import Character
from envs.clip_actions import ClipActions, clip_actions
from envs.engines import make_physics
from envs.expert import Expert
from envs.features import observe
from envs.guided import Guided
from envs.humanoid import HumanoidEnv
from envs.lqr import Dynamics, Regulators
from envs.mirror import mirror_map
from envs.motion_graph import motion_graph
from envs.refine import best_refined
from envs.samcon import Motion, Samcon, Track
from envs.ways import Ways, clip_ways, motion_ways
from motions.clip import mirror_name
from motions.library import MotionLibrary

MOTIONS, LESSONS, WAYS = "motions.safetensors", "lessons.safetensors", "ways.safetensors"
REFINERS = 192  # simulations that refine a motion
EVERY_ROUNDS = 10  # are told of
REMEMBER_S = 8.0  # for which trained skills show what they know


def clip_teacher(config: RunConfig, character: Character, library: MotionLibrary) -> ClipActions | None:
    """The clips' actions, or None if a run neither clones nor rehearses them."""
    return clip_actions(character, library, config.env.control_dt) if config.train.clone.steps or config.train.clone.rehearse_weight else None


def make_samcon(config: RunConfig, character: Character, library: MotionLibrary) -> Samcon:
    """What follows clips with a run's character, on the library's device."""
    physics = make_physics(config.physics, character.model, config.samcon.trials, config.env.num_threads, library.device)
    return Samcon(character, library, physics, config.env.control_dt, config.samcon, torch.Generator(library.device).manual_seed(config.seed))


def tell(name: str, track: Track) -> str:
    """How a clip could be followed, on one line."""
    return f"{name:24} followed for {track.reached_s:.1f} of {track.length_s:.1f} s in {track.passes} passes, cost {track.cost:.2f}"


def to_follow(character: Character, library: MotionLibrary) -> list[str]:
    """The clips that suffice for motions along all: of a clip and its mirror image only the first, where the character is its own mirror image."""
    images = library.mirrored.tolist()
    alike = mirror_map(character) is not None
    return [name for k, name in enumerate(library.names) if not (alike and 0 <= images[k] < k)]


def load_motions(path: Path, library: MotionLibrary) -> dict[str, Motion]:
    """Motions along the library's clips, by name, from a file that `find_motions` wrote; on its device."""
    tree, _ = checkpoint.load(path, "motions")
    return {name: Motion(*(part.to(library.device) for part in (tree[name]["qpos"], tree[name]["qvel"], tree[name]["action"]))) for name in library.names if name in tree}


def find_motions(config: RunConfig, character: Character, library: MotionLibrary, out: Path, tracks: Path | None) -> dict[str, Motion]:
    """Motions along the library's clips, by name: as far as they are there from the run's folder ``out`` or that of another run, ``tracks``; the others are followed in simulation
    and refined now, and saved in ``out`` one by one.

    Raises:
        ValueError: a file that cannot be read or written.
    """
    mine, device = out / MOTIONS, library.device
    found = load_motions(tracks / MOTIONS, library) if tracks is not None else {}
    if mine.is_file():
        found |= load_motions(mine, library)
    names = to_follow(character, library)
    missing = [name for name in names if name not in found]
    if missing:
        samcon, dynamics = make_samcon(config, character, library), make_dynamics(config, character, library, REFINERS)
        generator = torch.Generator(device).manual_seed(config.seed)
        for name in missing:
            clip = library.index(name)
            track = samcon.track(clip)
            if rank() == 0:
                print(tell(name, track), flush=True)
            if not track.complete:
                continue
            clip_path = samcon.clip_path(clip, len(track.path.action))
            cycle, guide = cycle_steps(config, library, clip), config.guide
            found[name], lost, cost = best_refined(dynamics, track.path, *clip_path, clip, cycle, guide.refinements, guide.refine_noises, guide.nearness, generator)
            if rank() == 0:
                print(f"{name:24} refined: cost {cost:.2f}; with noise {100 * lost:.0f} % lose it", flush=True)
                checkpoint.save(mine, {name: vars(motion) for name, motion in found.items()}, "motions", {})
    return {name: found[name] for name in names if name in found}


def make_dynamics(config: RunConfig, character: Character, library: MotionLibrary, count: int) -> Dynamics:
    """``count`` simulations of a run's character, on the library's device."""
    return Dynamics(character, make_physics(config.physics, character.model, count, config.env.num_threads, library.device), config.env.control_dt)


def cycle_steps(config: RunConfig, library: MotionLibrary, clip: int) -> int:
    """Control steps after which a clip repeats; 0 if it does not."""
    return round(float(library.durations_s[clip]) / config.env.control_dt) if library.loops[clip] else 0


def make_guided(config: RunConfig, character: Character, library: MotionLibrary, motions: dict[str, Motion]) -> Guided:
    """Characters that follow ``motions`` and, where the character is its own mirror image, those of the clips' mirror images; as many characters as a run has."""
    dynamics, reflection = make_dynamics(config, character, library, config.env.num_envs), mirror_map(character)
    experts = []
    for name, motion in motions.items():
        clip = library.index(name)
        cycle = cycle_steps(config, library, clip)
        experts.append(Regulators.around(dynamics, motion, clip, cycle))
        image = int(library.mirrored[clip])
        if reflection is not None and image >= 0 and library.names[image] not in motions:
            index, sign = reflection.action_index.to(library.device), reflection.action_sign.to(library.device)
            mirrored = Motion(*dynamics.deviations.mirrored(motion.qpos, motion.qvel, index, sign), motion.action[:, index] * sign)
            experts.append(Regulators.around(dynamics, mirrored, image, cycle))
    expert, generator = Expert(dynamics, Regulators.cat(experts)), torch.Generator(library.device).manual_seed(config.seed)
    graph = motion_graph(expert, generator)
    if rank() == 0:
        risen = f"from standing {int((graph.rise >= 0).sum())} can be begun and {int((graph.first >= 0).sum())} be reached"
        print(f"of {len(experts)} motions {100 * graph.density:.0f} % of the pairs lead into each other, {100 * graph.reach:.0f} % by way of others; {risen}", flush=True)
    return Guided(expert, graph, expert.shown(library, config.env.control_dt), config.guide, generator)


def followed(config: RunConfig, env: HumanoidEnv, out: Path, tracks: Path | None) -> Guided:
    """Characters that follow all clips that can be (see `find_motions`).

    Raises:
        ValueError: none can.
    """
    motions = find_motions(config, env.character, env.library, out, tracks)
    if not motions:
        raise ValueError(f"clips {', '.join(env.library.names)}: none could be followed in simulation; expected at least one")
    return make_guided(config, env.character, env.library, motions)


def be_coached(config: RunConfig, env: HumanoidEnv, learner: Learner, known: Sequence[str], out: Path, guided: Guided) -> ClipActions:
    """Coaches a learner along the clips that ``guided`` characters follow, and shows those ``known`` that end to remember meanwhile; returns what it should rehearse, which it also
    saves in ``out``."""
    library = env.library
    ends = [name for name in known if not library.loops[library.index(name)]]
    memory = None
    if ends:
        memory = remember(env, learner, torch.tensor([library.index(name) for name in ends], device=env.device), round(REMEMBER_S / config.env.control_dt))

    def told(made: Round) -> None:
        if rank() == 0 and (made.number % EVERY_ROUNDS == 0 or made.progress >= 1):
            lost = {name: made.lost[made.ended == k] for k, name in enumerate(library.names)}
            shares = ", ".join(f"{name} {100 * float(each.mean()):.0f}" for name, each in lost.items() if len(each))
            print(f"coached, round {made.number} ({100 * min(made.progress, 1.0):.0f} %): error {made.error:.3f}; of episodes that ended, lost, in percent: {shares}", flush=True)

    moments = coach(learner, guided, config.train.coach, memory, told, use_bf16(config.train.bf16, env.device))
    if rank() == 0:
        checkpoint.save(out / LESSONS, {"obs": moments.obs.half(), "action": moments.action.half(), "clip": moments.clip}, "lessons", {})
    return as_lessons(moments.obs, moments.action, moments.clip, library)


def as_lessons(obs: Tensor, action: Tensor, clip: Tensor, library: MotionLibrary) -> ClipActions:
    """Moments to rehearse, of which clips count by the library's weights."""
    return ClipActions(obs, action, clip, (library.weights / clip.bincount(minlength=library.num_clips))[clip], torch.zeros_like(clip, dtype=torch.bool))


def load_lessons(out: Path, library: MotionLibrary) -> ClipActions:
    """What a coached run rehearses, from its folder."""
    tree, _ = checkpoint.load(out / LESSONS, "lessons")
    obs, action, clip = (tree[name].to(library.device) for name in ("obs", "action", "clip"))
    return as_lessons(obs.float(), action.float(), clip, library)


def ways_of(config: RunConfig, env: HumanoidEnv, out: Path, guided: Guided | None) -> Ways:
    """How a run's characters should do the clips: as ``guided`` ones do, which is saved in ``out``, or did when the run there began; as the clips are if there are none."""
    if guided is not None:
        ways = motion_ways(guided.expert, guided.graph, env.library, env.layout, config.env.control_dt)
        if rank() == 0:
            checkpoint.save(out / WAYS, ways.state_dict(), "ways", {})
        return ways
    if (out / WAYS).is_file():
        tree, _ = checkpoint.load(out / WAYS, "ways")
        return Ways(**{name: part.to(env.device) for name, part in tree.items()})
    return clip_ways(env.library, env.layout, config.env.control_dt)


def masters_of(learner: Learner, clips: tuple[str, ...], runs: Sequence[str]) -> list[Master]:
    """Trained skills of ``runs`` as teachers of a learner of ``clips``, each of those that it knows, or, of ``RUN=CLIP,CLIP``, of these and their mirror images; the last that
    teaches one does so anywhere.

    Raises:
        ValueError: no skills there, of another character or other network sizes, without latents of their clips' own, or that know none of the clips, or not one that is named.
    """
    if learner.anchors is None:
        raise ValueError(f"train: latents.clip_share: got {learner.config.latents.clip_share:g} with teachers; expected a share above 0")
    points, found = learner.anchors.points, list[Master]()
    for run in runs:
        folder, named = (run, "") if "=" not in run or Path(run).is_dir() else run.rsplit("=", 1)
        tree, info = read_skills(Path(folder))
        theirs, policy, normalizer = tree["style"].get("anchors.points"), copy.deepcopy(learner.policy).requires_grad_(False), copy.deepcopy(learner.obs_normalizer)
        known = [name for name in info["clips"] if name in clips]
        if theirs is None or not known:
            raise ValueError(f"teacher {folder}: knows {', '.join(info['clips']) if theirs is not None else 'no clip by its latents'}; expected some of {', '.join(clips)}")
        chosen = [name.strip() for name in named.split(",")] if named else known
        for name in chosen:
            if name not in known:
                raise ValueError(f"teacher {folder}: clip {name}: not one that it can teach here. Available: {', '.join(known)}")
        checkpoint.load_module(policy, tree["policy"], f"{folder}: policy")
        checkpoint.load_module(normalizer, tree["obs_normalizer"], f"{folder}: obs_normalizer")
        shift = torch.zeros_like(points)
        teaches, been = torch.zeros(2, len(clips), dtype=torch.bool, device=points.device)
        for name in known:
            k = clips.index(name)
            shift[k], been[k] = theirs[info["clips"].index(name)].to(points) - points[k], True
            teaches[k] = name in chosen or mirror_name(name) in chosen
        for master in found:
            master.anywhere[teaches] = False
        found.append(Master(policy, normalizer, shift, teaches, been, teaches.clone()))
    return found


def landmarks_of(env: HumanoidEnv) -> Landmarks:
    """Moments of the clips of ``env``, a control step apart."""
    clips, times = env.library.moments(env.config.control_dt)
    state, scale = env.library.state_at(clips, times), torch.zeros(env.obs_dim, device=env.device)
    scale[env.layout.style_columns.to(env.device)] = env.layout.tracking_weights().to(env.device).sqrt()
    return Landmarks(observe(state, env.character.skeleton), torch.where(stands(state, env.character), ANY, clips), scale)


def be_taught(config: RunConfig, env: HumanoidEnv, learner: Learner, runs: Sequence[str]) -> None:
    """Teaches a learner what the trained skills of ``runs`` do, of each clip what the first of them does that knows it and has been there."""
    masters = masters_of(learner, env.library.names, runs)
    weights = env.library.weights * torch.stack([master.teaches for master in masters]).any(0)

    def told(number: int, error: float, falls: float) -> None:
        if rank() == 0 and (number % EVERY_ROUNDS == 0 or number == config.train.distill.rounds):
            print(f"taught, round {number} of {config.train.distill.rounds}: error {error:.3f}; falls per 1,000 steps {falls:.2f}", flush=True)

    distill(env, learner, masters, landmarks_of(env), weights, config.train.distill, told, use_bf16(config.train.bf16, env.device))
