"""What simulated characters made of the clips, as it is shipped."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

import run
from envs.character import Character
from envs.lqr import Dynamics
from envs.physics_cpu import CpuPhysics


def test_the_shipped_motions_are_states_and_actions_of_the_humanoid(character: Character) -> None:
    moves = load_file(Path(run.__file__).parent / "ase" / "pretrained" / "moves" / "motions.safetensors")
    names = {key.split("/")[0] for key in moves}
    assert {"walk", "run", "kick", "punch", "jump", "spinkick", "roll", "crawl", "cartwheel", "backflip", "spin", "dance_a", "dance_b", "getup_facedown", "getup_faceup"} <= names
    assert len(names) == 20
    dynamics = Dynamics(character, CpuPhysics(character.model, 16, 1), 1 / 30)
    for name in names:
        qpos, qvel, action = (moves[f"{name}/{part}"] for part in ("qpos", "qvel", "action"))
        assert len(qpos) == len(qvel) == len(action) >= 60
        assert (qpos.shape[1], qvel.shape[1], action.shape[1]) == (character.model.nq, character.model.nv, character.num_actions)
        assert action.abs().max() <= 1
        torch.testing.assert_close(qpos[:, 3:7].norm(dim=-1), torch.ones(len(qpos)), atol=1e-3, rtol=0)
        after, _ = dynamics.advance(qpos[20:28], qvel[20:28], action[20:28])
        torch.testing.assert_close(after, qpos[21:29], atol=2e-3, rtol=0)  # physics makes each state of the one before
