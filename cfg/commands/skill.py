"""``run.py skill``: the latent that plays a clip best, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.table import Table

from ase.clip_space import ClipSpace
from ase.learner import Learner
from ase.skill_search import Found, Played, SearchConfig, distance_to, play, search, spread_times
from cfg.cli import parse
from cfg.schema import RunConfig
from cfg.skill_book import read_book, save_skill
from cfg.wiring import act_out, load_policy, load_skills, load_world, make_env
from envs.character import Character
from envs.demos import DemoWindows
from envs.film import film, motion_strip, write_image, write_video
from envs.humanoid import HumanoidEnv
from envs.render import make_renderer
from envs.resets import StartMix
from motions.clip import Clip
from motions.dataset import load_clip
from motions.library import MotionLibrary

STARTS = 6  # characters that act out each candidate, each from another time of the clip
MIN_STEPS = 6  # control steps that are scored, at least


@dataclass(frozen=True)
class SkillArgs:
    """Finds the latent with which trained skills play a clip best, and keeps it by name in the run's skill book, where ``render --skills NAME`` finds it.

    Attributes:
        run: folder of trained skills.
        like: name of a clip of the run's or of the clips' folder, or path of a ``.npz`` clip, seen in training or not.
        name: of the skill; the clip's if omitted.
        out: video of it beside the clip. strip: picture with frames side by side.
        seconds: how long each candidate is acted out, at most.
        search: how many candidates, and how often the best are refined.
        size: pixels of the video's and the strip's frames. seed: of starts and candidates. clips_dir: folder of the clips, if not the run's.
    """

    run: tyro.conf.Positional[Path]
    like: str
    name: str = ""
    out: Path | None = None
    strip: Path | None = None
    seconds: float = 3.0
    search: SearchConfig = field(default_factory=SearchConfig)
    size: int = 320
    seed: int = 0
    clips_dir: str = ""


def main(args: Sequence[str]) -> None:
    given = parse(SkillArgs, args, "run.py skill")
    config, tree = load_skills(given.run, given.clips_dir)
    config = replace(config, device="cpu", physics="cpu")
    if not config.train.latents.dim:
        raise ValueError(f"run {given.run}: preset {config.preset}: has no latents; expected skills trained with them, such as preset locomotion")
    read_book(given.run, config.train.latents.dim)  # a broken one is found before the search, not after
    character, library = load_world(config)
    small = make_env(config, character, library, 0, replace(config.env, num_envs=1))
    learner = load_policy(config, tree, small, given.run)
    shown = library if given.like in library.names else MotionLibrary([_clip(given.like, config, library)], character.skeleton, device=library.device)
    clip = given.like if shown is library else shown.names[0]
    found = find(given, config, character, library, shown, clip, learner, small)
    Console().print(table_of(found, clip))
    name = given.name or clip
    print(f"wrote skill {name} to {save_skill(given.run, name, found.latent, clip, found.measured['found'].score)}")
    picture(given, config, character, shown, clip, learner, {name: found.latent})


def _clip(like: str, config: RunConfig, library: MotionLibrary) -> Clip:
    """A clip that the run has not seen."""
    path = Path(like)
    if path.suffix == ".npz":
        return Clip.load(path)
    try:
        return load_clip(like, Path(config.clips_dir))
    except ValueError as error:
        raise ValueError(f"{error}; clips of the run: {', '.join(library.names)}") from None


def find(given: SkillArgs, config: RunConfig, character: Character, library: MotionLibrary, shown: MotionLibrary, clip: str, learner: Learner, small: HumanoidEnv) -> Found:
    """See `ase.skill_search.search`; the clip is one of ``shown``, distances are in the units of the run's clips, ``library``."""
    dt, history, clip_id = config.env.control_dt, config.env.history, shown.index(clip)
    windows = DemoWindows(shown, small.layout, dt, history).of_clip(clip_id)
    space = ClipSpace(DemoWindows(library, small.layout, dt, history))
    distance = distance_to(space.scaled(windows), space.scaled)
    first, length, loops = (history - 1) * dt, float(shown.durations_s[clip_id]), bool(shown.loops[clip_id])
    steps = round(given.seconds / dt) if loops else round(min(given.seconds, length - first) / dt)
    if steps < history + MIN_STEPS:
        raise ValueError(f"clip {clip}: leaves {max(steps, 0)} control steps to act out; expected at least {history + MIN_STEPS}, of a longer clip or with more --seconds")
    generator = torch.Generator(small.device).manual_seed(given.seed)
    envs: dict[int, HumanoidEnv] = {}

    def acted(z: torch.Tensor) -> Played:
        count = STARTS * len(z)
        if count not in envs:
            settings = replace(config.env, num_envs=count, start=StartMix(clip=0, default=1), terminate_on_fall=True, episode_length_s=given.seconds + 1)
            envs[count] = make_env(config, character, shown, given.seed, settings)
        times = spread_times(first, length if loops else length - steps * dt, STARTS, generator)
        return play(envs[count], learner.act, z, clip_id, times, steps, distance, history)

    with torch.no_grad():
        known = {"what the encoder reads": torch.nn.functional.normalize(learner.style.encode(windows).mean(0), dim=-1)}
    if learner.anchors is not None and shown is library:
        known["the clip's own latent"] = learner.anchors.points[clip_id]
    return search(acted, known, lambda n: learner.draw_latents(n, generator), given.search, generator)


def table_of(found: Found, clip: str) -> Table:
    """The found latent beside the known and random ones, for people."""
    table = Table(title=f"like {clip} ({'by search' if found.origin == 'search' else found.origin})")
    for head in ("latent", "distance to the clip", "falls", "the found one is nearer by"):
        table.add_column(head)
    for name, row in found.measured.items():
        table.add_row(name, f"{row.score:.3f}", f"{row.falls:.0%}", "" if name == "found" else f"{row.gain:.0%} ± {row.gain_error:.0%}")
    return table


def picture(given: SkillArgs, config: RunConfig, character: Character, shown: MotionLibrary, clip: str, learner: Learner, named: dict[str, torch.Tensor]) -> None:
    """The skill beside the clip, as video and strip."""
    if given.out is None and given.strip is None:
        return
    recording, captions, _ = act_out(config, character, shown, learner, named, given.seconds, given.seed, clip)
    renderer = make_renderer(character, given.size, given.size, fine=given.strip is not None)
    if given.out:
        print(f"wrote {write_video(film(renderer, recording.motions[0], recording.fps), given.out, recording.fps)}")
    if given.strip:
        print(f"wrote {write_image(motion_strip(renderer, recording.motions[0], 8, recording.fps, captions[0]), given.strip)}")
    renderer.close()
