"""``run.py skill``: the latent that plays a clip best, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.table import Table

from ase.by_clip import BEGUN_WITHIN_S
from ase.clip_space import ClipSpace
from ase.learner import Learner
from ase.skill_search import Found, Played, SearchConfig, distance_to, play, search, spread_times
from cfg.cli import parse
from cfg.load import closest
from cfg.schema import RunConfig
from cfg.skill_book import BOOK, read_book, require_writable, save_skill
from cfg.wiring import DATASETS, act_out, load_policy, load_skills, load_world, make_env
from envs.approach import stands
from envs.character import Character
from envs.demos import DemoWindows
from envs.features import FeatureLayout
from envs.film import film, motion_strip, write_image, write_video
from envs.humanoid import EnvConfig, HumanoidEnv
from envs.pushes import PushConfig
from envs.render import make_renderer
from envs.resets import StartMix, floor_loops
from envs.throws import ThrowConfig
from motions.clip import MIRROR, Clip
from motions.dataset import build_library, load_dataset
from motions.dataset_entries import Entry
from motions.library import MotionLibrary

STARTS = 8  # characters that act out each candidate, each from another time of the clip, or another moment in which somebody stands
START_SHARE = 0.25  # of a clip that does not loop: they start in this first part of it
MIN_STEPS = 6  # control steps that are scored, at least


@dataclass(frozen=True)
class SkillArgs:
    """Finds the latent with which trained skills play a clip best, and keeps it by name in the run's skill book, where ``render --skills NAME`` finds it.

    Attributes:
        run: folder of trained skills.
        like: name of a clip of the run's or of the clips' folder, or path of a ``.npz`` clip, seen in training or not.
        name: of the skill; the clip's if omitted.
        from_standing: whether candidates begin where somebody stands or walks, as a skill does that is asked for, instead of on the clip; what they do from 2 s on counts then.
        out: video of it beside the clip. strip: picture with frames side by side.
        seconds: how long each candidate is acted out, at most.
        candidates: latents that are tried in each round. rounds: of refinement after the first.
        size: pixels of the video's and the strip's frames. seed: of starts and candidates. clips_dir: folder of the clips, if not the run's.
    """

    run: tyro.conf.Positional[Path]
    like: str
    name: str = ""
    from_standing: bool = False
    out: Path | None = None
    strip: Path | None = None
    seconds: float = 3.0
    candidates: int = SearchConfig.candidates
    rounds: int = SearchConfig.rounds
    size: int = 320
    seed: int = 0
    clips_dir: str = ""


def main(args: Sequence[str]) -> None:
    given = parse(SkillArgs, args, "run.py skill")
    settings = SearchConfig(given.candidates, given.rounds)
    name = given.name or Path(given.like).stem
    if name == "all":
        raise ValueError("run.py skill: --name: got all; expected another name: for render, all means every clip")
    config, tree = load_skills(given.run, given.clips_dir)
    config = replace(config, device="cpu", physics="cpu", env=undisturbed(config.env))
    if not config.train.latents.dim:
        raise ValueError(f"run {given.run}: preset {config.preset}: has no latents; expected skills trained with them, such as preset locomotion")
    read_book(given.run, config.train.latents.dim)  # a broken one is found before the search, not after
    require_writable(given.run / BOOK)
    character, library = load_world(config)
    learner = load_policy(config, tree, make_env(config, character, library, 0, replace(config.env, num_envs=1)), given.run)
    shown = library if given.like in library.names else with_clip(given.like, config, character, library)
    found = find(given, settings, config, character, library, shown, learner)
    Console().print(table_of(found, given.like))
    if not clear(found):
        print(f"not clearly nearer than random latents are: these skills hardly hold {given.like}")
    print(f"wrote skill {name} to {save_skill(given.run, name, found.latent, given.like, found.measured['found'].score)}")
    picture(given, config, character, shown, learner, {name: found.latent})


def undisturbed(env: EnvConfig) -> EnvConfig:
    """A run's environment without what training adds: no pushes or throws; and how low a character goes is up to the clip: only contact is a fall."""
    return replace(env, push=PushConfig(), throw=ThrowConfig(), min_root_height_m=0.0)


def with_clip(like: str, config: RunConfig, character: Character, library: MotionLibrary) -> MotionLibrary:
    """The run's clips and one that it has not seen, smoothed (and shifted to the floor) as its own are; the last one is called ``like``.

    Raises:
        ValueError: no such clip, or one that is not valid.
    """
    folder, path = Path(config.clips_dir), Path(like)
    if path.suffix == ".npz":
        Clip.load(path)  # says what is wrong with it
        file = str(path.resolve().with_suffix(""))
    else:
        file, there = like, sorted(p.stem for p in folder.glob("*.npz"))
        if like not in there and like.removesuffix(MIRROR) not in there:
            near = closest(like, (*library.names, *there))
            raise ValueError(
                f"clip {like}: got neither a clip of run nor of folder {folder} nor a .npz file; expected one.{near} "
                f"Available: of the run: {', '.join(library.names)}; in the folder: {', '.join(there) or 'none'}"
            )
    dataset = load_dataset(config.dataset, DATASETS)
    entry = Entry(like, file, 1.0, ground=all(e.ground for e in dataset.entries))
    return build_library(replace(dataset, entries=(*dataset.entries, entry)), folder, character.skeleton, library.device)


def find(given: SkillArgs, settings: SearchConfig, config: RunConfig, character: Character, library: MotionLibrary, shown: MotionLibrary, learner: Learner) -> Found:
    """See `ase.skill_search.search`; the clip is one of ``shown``, in the units of whose clips distances are, and has a latent of its own if ``library`` holds it."""
    dt, history, clip_id = config.env.control_dt, config.env.history, shown.index(given.like)
    windows = DemoWindows(shown, FeatureLayout.of(character), dt, history)
    space, own = ClipSpace(windows), windows.of_clip(clip_id)
    distance = distance_to(space.scaled(own), space.scaled)
    first, length, loops = (history - 1) * dt, float(shown.durations_s[clip_id]), bool(shown.loops[clip_id])
    skip = round(BEGUN_WITHIN_S / dt) if given.from_standing else history  # steps that do not count
    steps = round(given.seconds / dt) if loops or given.from_standing else round(min(given.seconds, length - first) / dt)
    if steps < history + MIN_STEPS:
        raise ValueError(f"clip {given.like}: leaves {max(steps, 0)} control steps to act out; expected at least {history + MIN_STEPS}, of a longer clip or with more --seconds")
    last = length if loops else max(length - steps * dt, first + START_SHARE * (length - first))
    generator = torch.Generator(library.device).manual_seed(given.seed)
    upright = not floor_loops(shown, character, dt)[clip_id]
    moments = standing_moments(shown, character, dt, first) if given.from_standing else None
    if moments is not None:
        steps += skip

    def starts() -> tuple[torch.Tensor, torch.Tensor]:
        if moments is not None:
            clips, times = moments
            pick = torch.randint(len(clips), (STARTS,), generator=generator, device=generator.device)
            return clips[pick], times[pick]
        return torch.full((STARTS,), clip_id, device=library.device), spread_times(first, last, STARTS, generator)

    envs: dict[int, HumanoidEnv] = {}

    def acted(z: torch.Tensor) -> Played:
        count = STARTS * len(z)
        if count not in envs:
            start = StartMix(clip=0, default=1)
            envs[count] = make_env(
                config, character, shown, given.seed, replace(config.env, num_envs=count, start=start, terminate_on_fall=upright, episode_length_s=steps * dt + 1)
            )
        return play(envs[count], learner.act, z, *starts(), steps, distance, skip)

    with torch.no_grad():
        known = {"what the encoder reads": torch.nn.functional.normalize(learner.style.encode(own).mean(0), dim=-1)}
    if learner.anchors is not None and shown is library:
        known["the clip's own latent"] = learner.anchors.points[clip_id]
    return search(acted, known, lambda n: learner.draw_latents(n, generator), settings, generator)


def standing_moments(library: MotionLibrary, character: Character, step_s: float, first_s: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips ``[U]`` and times (s) ``[U]``, from ``first_s`` on, of moments in which somebody stands or walks (`envs.approach.stands`).

    Raises:
        ValueError: there are none.
    """
    clips, times = library.moments(step_s)
    found = (stands(library.state_at(clips, times), character) & (times >= first_s)).nonzero().flatten()
    if not len(found):
        raise ValueError(f"run.py skill: --from-standing: in none of the clips {', '.join(library.names)} somebody stands or walks; expected one, or the search without it")
    return clips[found], times[found]


def clear(found: Found) -> bool:
    """Whether the found latent is nearer to the clip than random ones by more than two standard errors."""
    gain = found.measured["random latents"]
    return gain.gain > 2 * gain.gain_error


def table_of(found: Found, clip: str) -> Table:
    """The found latent beside the known and random ones, for people."""
    table = Table(title=f"like {clip} ({'by search' if found.origin == 'search' else found.origin})")
    for head in ("latent", "distance to the clip", "falls", "the found one is nearer by"):
        table.add_column(head)
    for name, row in found.measured.items():
        table.add_row(name, f"{row.score:.3f}", f"{row.falls:.0%}", "" if name == "found" else f"{row.gain:.1%} ± {row.gain_error:.1%}")
    return table


def picture(given: SkillArgs, config: RunConfig, character: Character, shown: MotionLibrary, learner: Learner, named: dict[str, torch.Tensor]) -> None:
    """The skill beside the clip, or from the rest pose, as video and strip."""
    if given.out is None and given.strip is None:
        return
    seconds, clip = (given.seconds + BEGUN_WITHIN_S, "") if given.from_standing else (given.seconds, given.like)
    recording, captions, _ = act_out(config, character, shown, learner, named, seconds, given.seed, clip)
    renderer = make_renderer(character, given.size, given.size, fine=given.strip is not None)
    if given.out:
        print(f"wrote {write_video(film(renderer, recording.motions[0], recording.fps), given.out, recording.fps)}")
    if given.strip:
        print(f"wrote {write_image(motion_strip(renderer, recording.motions[0], 8, recording.fps, captions[0]), given.strip)}")
    renderer.close()
