"""What simulated characters did when they followed clips (`envs.samcon`), or joins of them, in which one begins where another is, as lessons for a policy (`ase.cloning`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from envs.character import Character
from envs.clip_actions import ClipActions
from envs.features import observe
from envs.mirror import mirror_map
from envs.samcon import Tube
from envs.state import StateCodec
from motions.clip import Clip
from motions.joins import Join, joined, meet
from motions.library import MotionLibrary

AFTER = ">"  # in the name of a join, before the clip that it leads into
EARLY = 0.4  # share of a clip that does not loop within which it is joined
BLEND_S, BLEND_S_M = 0.4, 1.0  # for how long two clips are blended, and for how much longer by each metre that they are apart where they meet
JOINED_S = 1.2  # what is followed of a clip after the blend: its beginning; the rest is in the lesson of the clip itself


def to_follow(names: Sequence[str], character: Character, library: MotionLibrary) -> list[str]:
    """Those of the clips ``names`` that suffice for `lessons` on all of them: of a clip and its mirror image only the first, where the character is its own mirror image."""
    if mirror_map(character) is None:
        return list(names)
    images = {name: int(library.mirrored[library.index(name)]) for name in names}
    return [name for k, name in enumerate(names) if images[name] < 0 or library.names[images[name]] not in names[:k]]


def draw_joins(names: Sequence[str], known: Sequence[str], count: int, library: MotionLibrary, generator: torch.Generator) -> dict[str, Join]:
    """Joins to follow, by name: for each of the clips ``names`` as many as ``count`` that lead into it, from the clips ``known`` and from the others as often, and half as many
    that lead out of it, to known ones; from a clip that does not loop one into itself, too. A known clip that loops is left anywhere, any other at its end."""

    def some(choices: Sequence[str], n: int) -> list[str]:
        return [choices[k] for k in torch.randperm(len(choices), generator=generator, device=library.device)[:n].tolist()]

    pairs: list[tuple[str, str]] = []
    for name in names:
        others = [other for other in names if other != name]
        before = some(known, max(count - len(others), (count + 1) // 2))
        before += some(others, count - len(before))
        pairs += [(source, name) for source in before] + [(name, target) for target in some(known, count // 2)]
        if not library.loops[library.index(name)]:
            pairs.append((name, name))
    found = {}
    for source, target in pairs:
        first, second = library.index(source), library.index(target)
        left_s = float(library.durations_s[first])
        if source in known and library.loops[first]:
            left_s *= float(torch.rand(1, generator=generator, device=library.device))
        until_s = float(library.durations_s[second]) * (1.0 if library.loops[second] else EARLY)
        found[source + AFTER + target] = meet(library, first, left_s, second, until_s)
    return found


def join_clip(name: str, join: Join, library: MotionLibrary) -> Clip:
    """What is followed for a join."""
    blend_s = BLEND_S + BLEND_S_M * join.gap
    return joined(library, join, blend_s, blend_s + JOINED_S, name)


def lessons(tubes: dict[str, Tube], character: Character, library: MotionLibrary) -> ClipActions:
    """What survived on clips and joins, by name, as a lesson (`ase.cloning`) for these and, where the character is its own mirror image, their mirror images. What is shown in a
    join is shown of the clip that it leads into; clips count by the library's weights."""
    skeleton, reflection, codec = character.skeleton, mirror_map(character), StateCodec(character.skeleton)
    obs, action, clips = [], [], []
    for name, tube in tubes.items():
        if not len(tube.action):
            continue
        clip = library.index(name.split(AFTER)[-1])
        obs.append(observe(codec.decode(tube.qpos.float(), tube.qvel.float()), skeleton))
        action.append(tube.action.float())
        clips.append(clip)
        image = int(library.mirrored[clip])
        if reflection is not None and image >= 0 and (AFTER in name or library.names[image] not in tubes):
            index, sign, action_index, action_sign = (x.to(library.device) for x in (reflection.obs_index, reflection.obs_sign, reflection.action_index, reflection.action_sign))
            obs.append(obs[-1][:, index] * sign)
            action.append(action[-1][:, action_index] * action_sign)
            clips.append(image)
    counts = torch.tensor([len(each) for each in obs], device=library.device)
    clip_ids = torch.tensor(clips, device=library.device).repeat_interleave(counts)
    return ClipActions(torch.cat(obs), torch.cat(action), clip_ids, (library.weights / clip_ids.bincount(minlength=library.num_clips))[clip_ids])
