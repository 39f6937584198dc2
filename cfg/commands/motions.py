"""``run.py motions``: clips."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image
from rich.progress import track as track_progress

from cfg.cli import parse
from cfg.importing import OWN, ImportArgs, import_files
from cfg.load import closest
from cfg.previews import beside_source
from cfg.rollouts import write_rollouts
from cfg.schema import RunConfig
from cfg.teaching import REFINERS, make_dynamics, make_samcon, tell
from envs.character import load_character
from envs.engines import share_of_cores
from envs.film import beside, film, grid, motion_strip, strip, write_image, write_video
from envs.refine import mean_cost, refine
from envs.render import Picture, make_renderer
from envs.samcon import SamconConfig
from motions import ik
from motions.assess import assess_clips
from motions.auto_dataset import auto_dataset
from motions.clip import Clip, mirror
from motions.dataset import load_clip
from motions.formats import bvh
from motions.formats.detect import read
from motions.library import MotionLibrary
from motions.page import html_report
from motions.reaching import PLACES, PUSH, PUSHES, reaching, with_arm, with_arms
from motions.source_motion import SourceMotion, from_clip
from motions.sources import fetch
from motions.synthetic import standing

FORMATS_OUT = ("bvh",)
STRIP_FRAMES = 8
PAGE_PX = 160


@dataclass(frozen=True)
class FetchArgs:
    """Obtains the free human clips (and mirror images) that the pybullet package ships, with their licences, and computes those of standing and of a hand that is held
    somewhere.

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
        html: a page with the marks and a picture of each clip.
    """

    clips: tyro.conf.Positional[tuple[str, ...]] = ()
    html: Path | None = None
    clips_dir: Path = Path("clips")
    character: str = OWN


@dataclass(frozen=True)
class DatasetArgs:
    """Writes a dataset of clips with weights balanced by length and by how alike they are, explained line by line.

    Attributes:
        clips: names in the clips folder; all if none is given. out: the YAML file to write. clips_dir: folder of the clips. character: whose skeleton.
        auto: work the weights out (the only way so far).
    """

    clips: tyro.conf.Positional[tuple[str, ...]] = ()
    out: Path = Path("dataset.yaml")
    auto: bool = True
    clips_dir: Path = Path("clips")
    character: str = OWN


@dataclass(frozen=True)
class ExportArgs:
    """Writes a clip in a format that animation programs read.

    Attributes:
        clip: name in the clips folder, or a clip file. out: the file to write. to: its format (bvh). clips_dir: folder of the clips. character: whose skeleton.
    """

    clip: tyro.conf.Positional[str]
    out: Path
    to: str = "bvh"
    clips_dir: Path = Path("clips")
    character: str = OWN


@dataclass(frozen=True)
class RenderArgs:
    """Shows clips on the character, as a video or a strip of pictures; with --source beside the stick figure of the motion they came from.

    Attributes:
        clips: names in the clips folder, or clip files. out: video file (.mp4). strip: picture file (.png) with a row a clip.
        source: motion files of any format, one a clip. up, forward, scale, take: for reading them, as for import.
        clips_dir: folder of the clips. character: who moves. size: pixels of one square.
    """

    clips: tyro.conf.Positional[tuple[str, ...]]
    out: Path | None = None
    strip: Path | None = None
    source: tuple[Path, ...] = ()
    up: str = ""
    forward: str = ""
    scale: float = 0.0
    take: str = ""
    clips_dir: Path = Path("clips")
    character: str = OWN
    size: int = 400


@dataclass(frozen=True)
class TrackArgs:
    """Lets simulated characters follow clips, to see what physics allows of them before anything is trained; with pictures of that in colour, beside the clip, pale.

    Attributes:
        clips: names in the clips folder; all if none is given.
        out: video file (.mp4). strip: picture file (.png) with a row a clip. save: folder for the simulated motions, as clips (.npz) and as BVH.
        clips_dir: folder of the clips. character: who follows them. size: pixels of one square. seed: of what is tried.
        refine: iterations, of a second or two each, in which what was found is brought nearer to the clip and made smoother. samcon: how clips are followed.
    """

    clips: tyro.conf.Positional[tuple[str, ...]] = ()
    out: Path | None = None
    strip: Path | None = None
    save: Path | None = None
    refine: int = 0
    clips_dir: Path = Path("clips")
    character: str = OWN
    size: int = 400
    seed: int = 0
    samcon: SamconConfig = field(default_factory=SamconConfig)


def main(args: Sequence[str]) -> None:
    name = args[0] if args else "(none)"
    if name not in COMMANDS:
        raise ValueError(f"run.py motions: command {name}: unknown.{closest(name, list(COMMANDS))} Available: {', '.join(COMMANDS)}")
    kind, act = COMMANDS[name]
    act(parse(kind, args[1:], f"run.py motions {name}"))


def clips_named(names: Sequence[str], clips_dir: Path) -> list[Clip]:
    """Clips of a folder by name, all if none is given."""
    found = [find_clip(name, clips_dir) for name in names or sorted(p.stem for p in clips_dir.glob("*.npz"))]
    if not found:
        raise ValueError(f"clips folder {clips_dir}: holds no .npz clips; get the free clips with: python run.py motions fetch")
    return found


def fetch_clips(args: FetchArgs) -> None:
    fetch(args.out, wheel=args.wheel)
    character = load_character("humanoid")
    thigh, shin = (float(np.linalg.norm(character.model.body(name).pos)) for name in ("left_shin", "left_foot"))
    stand = standing(character.skeleton, thigh, shin, character.default_height_m)
    stand.save(args.out / "stand.npz")
    reaches = {name: reaching(character.model, character.skeleton, stand, name, place) for name, place in PLACES.items()}
    push = reaching(character.model, character.skeleton, stand, "push", PUSH)
    pushes = [with_arms(Clip.load(args.out / f"{legs}.npz"), push, name) for name, legs in PUSHES.items()]
    for clip in (*reaches.values(), *pushes, with_arm(Clip.load(args.out / "walk_forward.npz"), reaches["reach_front_chest"], "walk_reach")):
        for version in (clip, mirror(clip)):
            version.save(args.out / f"{version.name}.npz")
    print(f"wrote {len(PLACES) + len(PUSHES) + 2} computed clips, stand.npz, walk_reach.npz, *_push.npz and reach_*.npz, to {args.out}")


def check_clips(args: CheckArgs) -> None:
    character, clips = load_character(args.character), clips_named(args.clips, args.clips_dir)
    skeleton = character.skeleton
    heights = {skeleton.body_names[k]: h for k, h in zip(character.fall_bodies.tolist(), character.fall_heights.tolist(), strict=True)}
    feet = [skeleton.body_names[k] for k in character.foot_bodies.tolist()]
    marks = assess_clips(clips, skeleton, feet, ik.joint_ranges(character.model, skeleton), heights)
    for mark in marks:
        print(mark)
    if args.html:
        renderer = make_renderer(character, PAGE_PX, PAGE_PX)
        by_name = {clip.name: _thinned(clip) for clip in clips}

        def draw(name: str) -> bytes:
            clip = by_name[name]
            picture = strip(list(beside_source(renderer, clip)), [f"{k / clip.fps:.2f} s" for k in range(clip.num_frames)])
            data = io.BytesIO()
            Image.fromarray(picture).save(data, "png")
            return data.getvalue()

        print(f"wrote {html_report(args.html, marks, draw)}")
        renderer.close()


def write_dataset(args: DatasetArgs) -> None:
    text = auto_dataset(clips_named(args.clips, args.clips_dir), load_character(args.character).skeleton)
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text)
    except OSError as error:
        raise ValueError(f"dataset {args.out}: cannot be written: {error.strerror}") from None
    print(f"{text}wrote {args.out}; train on it with: python run.py pretrain cloned --dataset {args.out} --clips-dir {args.clips_dir} --out RUN")


def export(args: ExportArgs) -> None:
    if args.to not in FORMATS_OUT:
        raise ValueError(f"run.py motions export: --to: got {args.to!r}; expected one of: {', '.join(FORMATS_OUT)}")
    if Path(args.clip).is_dir():
        raise ValueError(f"run.py motions export: got folder {args.clip}; expected a clip. What a run's characters do: run.py render {args.clip} --motions FOLDER")
    clip = find_clip(args.clip, args.clips_dir)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    print(f"wrote {bvh.save(clip, load_character(args.character).skeleton, args.out)}: {clip.num_frames} frames, y up, facing +z, centimetres")


def find_clip(name: str, clips_dir: Path) -> Clip:
    """A clip by its file, or by name in a folder."""
    return Clip.load(name) if name.endswith(".npz") else load_clip(name, clips_dir)


def render(args: RenderArgs) -> None:
    if args.out is None and args.strip is None:
        raise ValueError("run.py motions render: got neither --out nor --strip; expected at least one")
    if args.source and len(args.source) != len(args.clips):
        raise ValueError(f"run.py motions render: --source: got {len(args.source)} files for {len(args.clips)} clips; expected one a clip")
    clips = [find_clip(name, args.clips_dir) for name in args.clips]
    sources: list[SourceMotion | None] = [_source(path, args) for path in args.source] or [None] * len(clips)
    character = load_character(args.character)
    for path, fine in ((args.out, False), (args.strip, True)):
        if path is None:
            continue
        renderer = make_renderer(character, args.size, args.size, fine=fine)
        if fine:
            picked = [_thinned(clip) for clip in clips]
            rows = [
                strip(list(beside_source(renderer, clip, source)), [f"{k / clip.fps:.2f} s" for k in range(clip.num_frames)], clip.name)
                for clip, source in zip(picked, sources, strict=True)
            ]
            print(f"wrote {write_image(np.concatenate(_same_width(rows)), path)}")
        else:
            films = [beside_source(renderer, clip, source) for clip, source in zip(clips, sources, strict=True)]
            total = max(clip.num_frames for clip in clips)
            print(f"wrote {write_video(track_progress(_together(films, [c.name for c in clips]), 'rendering', total=total, transient=True), path, clips[0].fps)}")
        renderer.close()


def track_clips(args: TrackArgs) -> None:
    if args.refine < 0:
        raise ValueError(f"run.py motions track: --refine: got {args.refine}; expected at least 0")
    clips, config = clips_named(args.clips, args.clips_dir), RunConfig(device="cpu", seed=args.seed, samcon=args.samcon)
    character = load_character(args.character, config.env.sim_dt)
    torch.set_num_threads(share_of_cores(0))
    samcon = make_samcon(config, character, MotionLibrary(clips, character.skeleton))
    dynamics = make_dynamics(config, character, samcon.library, REFINERS) if args.refine else None
    fps, motions, titles = 1 / config.env.control_dt, [], []
    for k, clip in enumerate(clips):
        track = samcon.track(k)
        print(tell(clip.name, track), flush=True)
        if track.reached_s:
            title, motion, wanted = " ".join(tell(clip.name, track).split()), track.path, samcon.clip_path(k, len(track.path.action))
            if dynamics is not None:
                motion = refine(dynamics, motion, *wanted, args.refine, config.guide.refine_noises[-1], torch.Generator().manual_seed(args.seed))
                costs = [mean_cost(dynamics, each, *wanted) for each in (track.path, motion)]
                title = f"{clip.name} refined: mean cost {costs[0]:.3f} to {costs[1]:.3f}"
                print(title, flush=True)
            path = motion.qpos.numpy()
            motions.append(beside(path, wanted[0].numpy()))
            titles.append(title)
            if args.save:
                write_rollouts(args.save, path[:, None], fps, character, [clip.name], f"after {clip.source}", clip.license)
    if not motions and (args.out or args.strip):
        raise ValueError("run.py motions track: no clip could be followed; nothing to draw")
    if args.out:
        renderer = make_renderer(character, args.size, args.size)
        films = [film(renderer, motion, fps) for motion in motions]
        total = max(len(motion) for motion in motions)
        print(f"wrote {write_video(track_progress(_together(films, titles), 'rendering', total=total, transient=True), args.out, fps)}")
        renderer.close()
    if args.strip:
        renderer = make_renderer(character, args.size, args.size, fine=True)
        rows = [motion_strip(renderer, motion, STRIP_FRAMES, fps, title) for motion, title in zip(motions, titles, strict=True)]
        print(f"wrote {write_image(np.concatenate(rows), args.strip)}")
        renderer.close()


def _source(path: Path, args: RenderArgs) -> SourceMotion:
    motion = read(path, up=args.up, forward=args.forward, scale=args.scale, take=args.take)
    return motion if isinstance(motion, SourceMotion) else from_clip(motion, load_character(OWN).skeleton)


def _thinned(clip: Clip) -> Clip:
    """`STRIP_FRAMES` frames of a clip at nearly equal times, at the rate they then have."""
    step = max(1, (clip.num_frames - 1) // (STRIP_FRAMES - 1))
    part = slice(0, step * STRIP_FRAMES, step)
    return replace(clip, fps=clip.fps / step, root_pos=clip.root_pos[part], root_quat=clip.root_quat[part], joint_quat=clip.joint_quat[part])


def _together(films: list[Iterator[Picture]], names: list[str]) -> Iterator[Picture]:
    """Several films as one, a picture each in a grid; a film that ends early keeps its last picture."""
    last: list[Picture] = []
    for pictures in zip_longest(*films):
        last = [picture if picture is not None else last[k] for k, picture in enumerate(pictures)]
        yield grid(last, max(1, round(len(last) ** 0.5)), names)


def _same_width(rows: list[Picture]) -> list[Picture]:
    """Pictures widened with white to the widest."""
    widest = max(row.shape[1] for row in rows)
    return [np.pad(row, ((0, 0), (0, widest - row.shape[1]), (0, 0)), constant_values=255) for row in rows]


COMMANDS: dict[str, tuple[type, Callable]] = {
    "fetch": (FetchArgs, fetch_clips),
    "check": (CheckArgs, check_clips),
    "dataset": (DatasetArgs, write_dataset),
    "import": (ImportArgs, import_files),
    "export": (ExportArgs, export),
    "render": (RenderArgs, render),
    "track": (TrackArgs, track_clips),
}
