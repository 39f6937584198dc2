"""What ``run.py motions import`` does: read files of any format, carry them over to a character, write clips, and say what was found."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from envs import cmu_amc
from envs.character import Character, load_character
from motions.clip import Clip
from motions.formats import asfamc
from motions.formats.detect import FORMATS, detect, read
from motions.formats.files import NoMotionError
from motions.retarget import RetargetOptions, retarget
from motions.skeleton_map import choose_map, load_map
from motions.source_motion import SourceMotion, from_clip, to_clip

SKELETONS_DIR = Path(__file__).parent / "skeletons"
OWN = "humanoid"  # the character whose skeleton clip formats come on
CMU = "cmu"  # the character whose joints are those of CMU's takes


@dataclass(frozen=True)
class ImportArgs:
    """Reads motions of any common format, carries them over to a character, and writes clips. Folders are searched, files in them that are no motions passed over.

    Attributes:
        files: files or folders. character: who is to move. out: folder for the clips.
        up: axis of the file that points up (z, y; with a minus: --up=-y). forward: axis that the file's rest pose faces. scale: metres in a unit of the file.
            Each is found out where not given, and reported.
        take: name or number of one of several motions in a file (glTF, loco-mujoco); the first if not given.
        fps: frames a second, for formats that do not say. asf: skeleton of AMC files, if not beside them.
        map: skeleton map, a name in cfg/skeletons or a .yaml file; the one that fits if not given.
        method: auto, copy or ik. rate: frames a second of the clip; the source's if 0. loop: none or wrap.
        ground: move the motion onto the floor. foot_lock: hold feet where they rest.
        name: of the clip, for a single file. license: terms that the clip is to carry.
    """

    files: tyro.conf.Positional[tuple[Path, ...]]
    character: str = OWN
    out: Path = Path("clips")
    up: str = ""
    forward: str = ""
    scale: float = 0.0
    take: str = ""
    fps: float = 0.0
    asf: str = ""
    map: str = ""
    method: str = "auto"
    rate: float = 0.0
    loop: str = ""
    ground: bool = True
    foot_lock: bool = True
    name: str = ""
    license: str = ""


def import_files(args: ImportArgs, report: Callable[[str], None] = print) -> list[Path]:
    """Writes a clip for every motion and reports each as it is done.

    Returns:
        The clips' files.

    Raises:
        ValueError: nothing to import, or files that failed (after all others were imported).
    """
    found, searched = _gather(args.files)
    if args.name and len(found) != 1:
        raise ValueError(f"run.py motions import: --name: got {args.name} for {len(found)} files; expected one file")
    character = load_character(args.character)
    written: dict[str, Path] = {}
    failed: list[tuple[Path, ValueError]] = []
    passed = 0
    for path in found:
        try:
            clip, text = import_file(path, args, character)
        except ValueError as error:
            if isinstance(error, NoMotionError) and path in searched:
                passed += 1
                continue
            failed.append((path, error))
            if len(found) > 1:
                line = str(error).splitlines()[0]
                report(f"failed: {line if path.name in line else f'{path}: {line}'}")
        else:
            clip = replace(clip, name=_file_name(clip.name))
            clip = replace(clip, name=clip.name if clip.name not in written else f"{path.parent.name}_{clip.name}")
            written[clip.name] = _save(clip, args.out, text, report)
    if len(found) == 1 and failed:
        raise failed[0][1]
    total = len(found) - passed
    report(f"{len(written)} of {total} motions imported to {args.out}" + (f"; {passed} files of other kinds passed over" if passed else ""))
    if failed:
        names = ", ".join(path.name for path, _ in failed[:8]) + (", ..." if len(failed) > 8 else "")
        raise ValueError(f"run.py motions import: {len(failed)} of {total} files failed: {names}")
    return list(written.values())


def _file_name(name: str) -> str:
    """A clip's name, which may come from a file that nobody vouches for, as the name of a file in the folder of clips."""
    return re.sub(r"[/\\\0]", "_", name).lstrip(".")[:100] or "clip"


def _save(clip: Clip, folder: Path, text: str, report: Callable[[str], None]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{clip.name}.npz"
    verb = "replaced" if target.exists() else "wrote"
    clip.save(target)
    report(f"{text}\n  {verb} {target}")
    return target


def import_file(path: Path, args: ImportArgs, character: Character) -> tuple[Clip, str]:
    """The clip of a motion file on a character, and the report of what was found out on the way.

    Raises:
        ValueError: what the reader, the skeleton map or the retargeting refuses.
    """
    given: dict[str, Any] = {"up": args.up, "forward": args.forward, "scale": args.scale, "fps": args.fps, "asf": args.asf, "take": args.take}
    kind = detect(path)
    motion = read(path, **given)
    terms = args.license or motion.license or _terms(path)
    notes = () if isinstance(motion, Clip) else motion.notes
    ready = to_clip(motion, character.skeleton) if isinstance(motion, SourceMotion) else motion if args.character == OWN else None
    if ready is not None and args.method == "auto" and not args.rate:
        clip = replace(ready, name=args.name or ready.name, license=terms, loop=args.loop or ready.loop)
        clip.poses_on(character.skeleton)
        lines = [f"{clip.name}: {clip.num_frames} frames at {clip.fps:g} Hz, the character's own skeleton: taken as it is", f"  {FORMATS[kind]}, {path}"]
        return clip, "\n".join((*lines, *(f"  {note}" for note in notes)))
    loop = args.loop or (motion.loop if isinstance(motion, Clip) else "none")
    source = motion if isinstance(motion, SourceMotion) else from_clip(motion, load_character(OWN).skeleton)
    source = replace(source, name=args.name or source.name, license=terms)
    same = _as_cmu(path, args, source, character) if kind == "asfamc" else None
    if same is None:
        joints, chosen = _joint_map(source, args.map)
        bodies = {body: joint for body, joint in joints.items() if body in character.skeleton.body_names}
        how = f"skeleton map {chosen}, {len(bodies)} bodies of {len(source.names)} joints"
    else:
        names = (same.names[0], *(same.names[joint.body] for joint in character.skeleton.joints))
        source, bodies, how = same, dict(zip(names, names, strict=True)), "the character's own joints"
    feet = _feet(character, bodies)
    options = RetargetOptions(args.method, args.rate or None, ground=args.ground, foot_lock=args.foot_lock, level=same is not None, loop=loop)
    clip, result = retarget(source, bodies, character.model, character.skeleton, feet, options)
    lines = str(result).splitlines()
    lines.insert(1, f"  {FORMATS[kind]}, {path}; {how}")
    return clip, "\n".join(lines)


def _as_cmu(path: Path, args: ImportArgs, source: SourceMotion, character: Character) -> SourceMotion | None:
    """A take of CMU's on the character made from CMU's skeleton; None for other characters and takes, and where something else is asked for."""
    if args.character != CMU or args.method == "ik" or args.map:
        return None
    return cmu_amc.on_character(source, asfamc.channels(path, args.asf), character.skeleton)


def _feet(character: Character, bodies: Mapping[str, str]) -> list[str]:
    """Names of the feet that have a target; toes of their own count with the foot they hang on."""
    feet = character.foot_bodies.tolist()
    names = [character.skeleton.body_names[k] for k in feet if character.skeleton.parents[k] not in feet]
    return [name for name in names if name in bodies]


def _joint_map(source: SourceMotion, wanted: str) -> tuple[dict[str, str], str]:
    """Source joint by body, and the name of the map."""
    if not wanted:
        chosen, joints = choose_map(source.names, SKELETONS_DIR, source.parents)
        return joints, chosen.name
    given = load_map(wanted, SKELETONS_DIR)
    joints = given.joints(source.names)
    missing = next((body for body in given.bodies if body not in joints), None)
    if missing is not None and not given.fits(source.names):
        raise ValueError(f"{source.name}: skeleton map {given.name}: body {missing}: got none of {', '.join(given.bodies[missing])}. Available: {', '.join(source.names)}")
    return joints, given.name


def _gather(files: Sequence[Path]) -> tuple[list[Path], set[Path]]:
    """Files to import in order, and those of them that come from folders."""
    found: list[Path] = []
    searched: set[Path] = set()
    for path in files:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            searched |= set(inside)
            found += inside
        else:
            found.append(path)
    if not found:
        raise ValueError(f"run.py motions import: got {', '.join(map(str, files)) or 'nothing'} without files; expected motion files or folders with some")
    return list(dict.fromkeys(found)), searched


def _terms(path: Path) -> str:
    """Which licence file lies beside a motion."""
    beside = sorted(p.name for p in path.parent.glob("LICENSE*"))
    return f"see {', '.join(beside)} beside {path.name}" if beside else ""
