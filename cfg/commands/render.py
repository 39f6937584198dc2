"""``run.py render``: pictures of what was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from rich.progress import track

from cfg.cli import parse
from cfg.wiring import act_out, load_policy, load_skills, load_world, make_env
from envs.film import motion_strip, write_image, write_video
from envs.recording import skill_frames
from envs.render import make_renderer


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


def main(args: Sequence[str]) -> None:
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
