"""What simulated characters did when they followed clips (`envs.samcon`), as lessons for a policy (`ase.cloning`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from envs.character import Character
from envs.clip_actions import ClipActions
from envs.features import observe
from envs.mirror import mirror_map
from envs.samcon import Tube
from envs.state import StateCodec
from motions.library import MotionLibrary


def to_follow(names: Sequence[str], character: Character, library: MotionLibrary) -> list[str]:
    """Those of the clips ``names`` that suffice for `lessons` on all of them: of a clip and its mirror image only the first, where the character is its own mirror image."""
    if mirror_map(character) is None:
        return list(names)
    images = {name: int(library.mirrored[library.index(name)]) for name in names}
    return [name for k, name in enumerate(names) if images[name] < 0 or library.names[images[name]] not in names[:k]]


def lessons(tubes: dict[str, Tube], character: Character, library: MotionLibrary) -> ClipActions:
    """What survived on clips, by name, as a lesson (`ase.cloning`) for those and, where the character is its own mirror image, their mirror images; clips count by the library's
    weights."""
    skeleton, reflection, codec = character.skeleton, mirror_map(character), StateCodec(character.skeleton)
    obs, action, clips = [], [], []
    for name, tube in tubes.items():
        clip = library.index(name)
        obs.append(observe(codec.decode(tube.qpos.float(), tube.qvel.float()), skeleton))
        action.append(tube.action.float())
        clips.append(clip)
        image = int(library.mirrored[clip])
        if reflection is not None and image >= 0 and library.names[image] not in tubes:
            index, sign, action_index, action_sign = (x.to(library.device) for x in (reflection.obs_index, reflection.obs_sign, reflection.action_index, reflection.action_sign))
            obs.append(obs[-1][:, index] * sign)
            action.append(action[-1][:, action_index] * action_sign)
            clips.append(image)
    counts = torch.tensor([len(each) for each in obs], device=library.device)
    clip_ids = torch.tensor(clips, device=library.device).repeat_interleave(counts)
    return ClipActions(torch.cat(obs), torch.cat(action), clip_ids, library.weights[clip_ids] / counts.repeat_interleave(counts))
