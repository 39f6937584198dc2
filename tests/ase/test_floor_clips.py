"""Under latents of clips that go to the floor falls are none, while they are held."""

import torch

from ase.collect import collect
from ase.evaluate import roll_out
from ase.learner import Learner
from ase.pretrain import restart_lost
from ase.rollout import Rollout
from tests.ase.toys import CPU, Scripted, tiny_config

DT = 1 / 30


def learner_on(env, floor=(False, True), dim=4):
    config = tiny_config(latents={"dim": dim, "clip_share": 0.5 if dim else 0.0, "min_hold_s": 0.1, "max_hold_s": 0.3})
    clips = {"mirrored_clips": torch.tensor([-1, -1]), "floor_clips": torch.tensor(floor)}
    return Learner(config, env.obs_dim, env.rest_action, env.window, env.num_envs, DT, CPU, 0, **clips)


def test_a_latent_goes_down_if_its_cell_is_of_a_clip_that_does():
    learner = learner_on(Scripted(3, 3))
    assert learner.goes_down(learner.anchors.points[[1, 0, 1]]).tolist() == [True, False, True]
    learner.latents.hold(torch.arange(3), learner.anchors.points[[1, 0, 1]], 7)
    learner.latents.advance()
    assert learner.floor_steps(torch.tensor([0, 1, 2])).tolist() == [6, 0, 6], "until the next latent"
    assert learner.floor_steps(torch.tensor([1])).tolist() == [0]


def test_without_cells_none_does():
    learner = learner_on(Scripted(2, 3), dim=0)
    assert learner.floor_steps(torch.arange(2)).tolist() == [0, 0]


def test_held_latents_are_made_known():
    env = Scripted(2, 3)
    learner = learner_on(env)
    z = learner.anchors.points[[0, 1]]
    assert learner.hold(env, z, 9) is z
    assert env.allowed == [(0, [0, 1], [0, 9])]


def test_new_latents_are_made_known_after_episodes_have_begun():
    """An episode that starts on a clip gets a latent of that clip after one at random: only the last counts."""
    env = Scripted(2, 3, terminate=[(1, 0)])
    learner = learner_on(env)
    learner.latents.hold(torch.arange(2), learner.anchors.points[[1, 1]], 3)
    learner.begin_on_clips = lambda ids, clips, windows: learner.latents.hold(ids, learner.anchors.points[[0] * len(ids)], 50)
    obs = env.reset()
    rollout = Rollout.empty(4, 2, env.obs_dim, 4, env.action_dim, env.window, CPU)
    collect(env, learner, rollout, obs, False)
    assert env.allowed[0] == (2, [0], [0])
    time, ids, steps = env.allowed[1]
    assert (time, ids) == (3, [1]), "its latent was held for three steps"
    assert steps == learner.goes_down(learner.latents.z[1:]).mul(learner.latents.steps_left[1:] + 1).tolist(), "one step of it has passed since"


def test_so_are_those_of_lost_episodes():
    env = Scripted(3, 3)
    env.reset()
    learner = learner_on(env, floor=(True, True))
    restart_lost(env, learner, torch.tensor([1, 2]))
    assert env.allowed == [(0, [1, 2], learner.latents.steps_left[1:].tolist())]


def test_and_those_that_are_measured():
    env = Scripted(2, 3)
    env.planar_pose = lambda: torch.zeros(2, 3)
    env.start_clip = torch.tensor([4, -1])
    learner = learner_on(env)
    found = roll_out(env, learner, learner.anchors.points[[1, 0]], 12, 3)
    assert env.allowed == [(0, [0, 1], [12, 0])]
    assert found.began.tolist() == [4, -1]
