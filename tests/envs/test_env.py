"""The environment: starts, steps and exact continuation."""

import copy

import pytest
import torch

from envs.demos import DemoWindows
from envs.features import observe
from envs.humanoid import EnvConfig
from envs.resets import StartMix, default_state
from envs.state import StateCodec
from motions.library import MotionLibrary
from tests.envs.helpers import ScriptedPhysics, actions, everything, gait_clip, make_env, random_state, set_state

DT = 1 / 30
ALL_CLIP, ALL_DEFAULT = StartMix(clip=1.0, default=0.0), StartMix(clip=0.0, default=1.0)


# Starts


def test_reading_a_state_and_writing_it_back_changes_nothing(character, library):
    env = make_env(character, library, 8)
    env.reset()
    env.step(actions(8))
    obs, qpos, qvel = env.obs.clone(), env.physics.qpos.clone(), env.physics.qvel.clone()
    assert qvel[:, 3:6].norm(dim=-1).min() > 0.1, "the roots must turn for this to mean much"
    set_state(env, torch.arange(8), env.state)
    torch.testing.assert_close(env.physics.qpos, qpos, rtol=0, atol=1e-6)
    torch.testing.assert_close(env.physics.qvel, qvel, rtol=0, atol=5e-6)
    torch.testing.assert_close(observe(env.codec.decode(env.physics.qpos, env.physics.qvel), character.skeleton), obs, rtol=0, atol=1e-5)


def test_a_character_goes_on_where_another_was(character, library):
    """With its grace, from a bent state in motion, on no clip and at the beginning of an episode; the others stay as they are."""
    env = make_env(character, library, 4)
    env.reset()
    env.start_on_clip(torch.arange(4), torch.tensor([0, 1, 0, 1]), torch.tensor([0.3, 0.5, 1.0, 1.2]))
    for _ in range(3):
        env.step(actions(4))
    env.grace_steps[:] = torch.tensor([0, 7, 0, 9])
    moments = env.capture()
    for _ in range(4):
        env.step(actions(4))
    before = everything(env)
    qpos, qvel = env.physics.qpos.clone(), env.physics.qvel.clone()
    rows = {name: part[[3, 1]] for name, part in moments.items()}
    obs = env.start_at(torch.tensor([0, 2]), rows)
    assert torch.equal(env.physics.qpos[[0, 2]], moments["qpos"][[3, 1]])
    assert torch.equal(env.physics.qvel[[0, 2]], moments["qvel"][[3, 1]])
    assert torch.equal(obs[[0, 2]], moments["obs"][[3, 1]])
    assert torch.equal(env.history[[0, 2]], moments["history"][[3, 1]])
    torch.testing.assert_close(observe(env.state, character.skeleton)[[0, 2]], obs[[0, 2]], rtol=0, atol=1e-5)
    assert env.grace_steps.tolist() == [9, 3, 7, 5]
    assert env.start_clip.tolist() == [-1, 1, -1, 1]
    assert env.episode_step.tolist() == [0, 7, 0, 7]
    assert torch.equal(obs[[1, 3]], before["obs"][[1, 3]])
    assert torch.equal(env.physics.qpos[[1, 3]], qpos[[1, 3]])
    assert torch.equal(env.physics.qvel[[1, 3]], qvel[[1, 3]])


def test_a_clip_start_equals_the_clip_for_every_frame_of_the_history(character, library):
    env = make_env(character, library, 5, history=6)
    clip_ids, times = torch.tensor([0, 1, 0, 1, 0]), torch.tensor([0.3, 0.5, 1.0, 1.4, 2.0])
    obs = env.start_on_clip(torch.arange(5), clip_ids, times)
    columns = env.layout.style_columns
    torch.testing.assert_close(obs, observe(library.state_at(clip_ids, times), character.skeleton), rtol=0, atol=2e-5)
    torch.testing.assert_close(env.history[:, -1], obs[:, columns], rtol=0, atol=2e-5)
    for back in range(6):
        frame = observe(library.state_at(clip_ids, times - back * DT), character.skeleton)[:, columns]
        torch.testing.assert_close(env.history[:, 5 - back], frame, rtol=0, atol=1e-5)


def test_a_clip_starts_window_is_one_of_the_demo_windows(character, library):
    env = make_env(character, library, 2, history=4)
    env.start_on_clip(torch.arange(2), torch.tensor([0, 1]), torch.tensor([1.0, 0.5]))
    demos = DemoWindows(library, env.layout, DT, history=4)
    for k, time_s in ((0, 1.0), (1, 0.5)):
        torch.testing.assert_close(env.history[k], demos.of_clip(k)[round((time_s - 3 * DT) * 120)], rtol=1e-4, atol=2e-3)


def test_random_clip_starts_never_precede_the_clip_and_spread_over_it(character, library):
    env = make_env(character, library, 400, start=ALL_CLIP, physics=ScriptedPhysics(character, 400))
    seen = []
    place = env.starts.on_clip
    env.starts.on_clip = lambda clip_ids, times: (seen.append((clip_ids, times)), place(clip_ids, times))[1]
    env.reset()
    clip_ids, times = seen[0]
    assert times.min() >= 5 * DT - 1e-6
    assert (times <= library.durations_s[clip_ids]).all()
    first = times[clip_ids == 0]
    assert (first < 0.6).any()
    assert (first > 1.6).any()
    assert 120 < len(first) < 280


def test_the_shares_of_starts(character, library):
    env = make_env(character, library, 1000, start=StartMix(clip=3.0, default=1.0), physics=ScriptedPhysics(character, 1000))
    obs = env.reset()
    rest = observe(default_state(character, 1), character.skeleton)
    standing = ((obs - rest).abs().amax(-1) < 1e-4).float().mean().item()
    assert standing == pytest.approx(0.25, abs=0.05)


def test_a_default_start_fills_the_history_with_the_present_frame(character, library):
    env = make_env(character, library, 3, start=ALL_DEFAULT)
    obs = env.reset()
    torch.testing.assert_close(obs, observe(default_state(character, 3), character.skeleton), rtol=0, atol=1e-6)
    torch.testing.assert_close(env.history, obs[:, None, env.layout.style_columns].expand(-1, 6, -1), rtol=0, atol=1e-6)
    assert not env.grace_steps.any()


def test_a_partial_reset_leaves_the_others_bit_for_bit(character, library):
    env, other = make_env(character, library, 19, seed=1), make_env(character, library, 19, seed=1)
    for e in (env, other):
        e.reset()
        e.step(actions(19))
    before = {key: value.clone() for key, value in everything(env).items()}
    ids = torch.tensor([0, 3, 7, 18])
    others = torch.tensor([k for k in range(19) if k not in ids.tolist()])
    env.reset(ids)
    for key, value in everything(env).items():
        assert torch.equal(value[others], before[key][others]), key
    assert env.episode_step[ids].tolist() == [0] * 4
    assert (env.obs[ids] != before["obs"][ids]).any(-1).all()
    for seed in (1, 2):
        a, b = env.step(actions(19, seed)), other.step(actions(19, seed))
        torch.testing.assert_close(a.obs[others], b.obs[others], rtol=0, atol=0)
        torch.testing.assert_close(a.disc_obs[others], b.disc_obs[others], rtol=0, atol=0)


def test_a_steps_result_is_not_changed_by_the_reset_that_follows(character, library):
    env = make_env(character, library, 4)
    env.reset()
    step = env.step(actions(4))
    obs, window = step.obs.clone(), step.disc_obs.clone()
    env.reset(torch.tensor([1, 2]))
    assert torch.equal(step.obs, obs)
    assert torch.equal(step.disc_obs, window)


def test_resetting_nothing_changes_nothing(character, library):
    env = make_env(character, library, 2)
    env.reset()
    before = {key: value.clone() for key, value in everything(env).items()}
    env.reset(torch.tensor([], dtype=torch.long))
    assert all(torch.equal(value, before[key]) for key, value in everything(env).items())


def test_a_single_environment_works(character, library):
    env = make_env(character, library, 1, start=StartMix(clip=0.5, default=0.3, fallen=0.2), episode_length_s=0.2)
    assert env.reset().shape == (1, env.obs_dim)
    done = 0
    for k in range(20):
        step = env.step(actions(1, k))
        assert torch.isfinite(step.obs).all()
        if step.done.any():
            done += 1
            env.reset(step.done.nonzero().squeeze(-1))
    assert done >= 3


def test_a_clip_shorter_than_the_history_is_refused(character):
    library = MotionLibrary([gait_clip(character.skeleton, "blink", seconds=0.1)], character.skeleton)
    with pytest.raises(ValueError, match=r"clip blink: lasts 0\.100 s; expected at least the history window of 0\.167 s"):
        make_env(character, library, 1)


# Steps


def test_an_action_is_a_target_around_the_joints_centres_held_for_the_control_step(character, library):
    physics = ScriptedPhysics(character, 3)
    env = make_env(character, library, 3, physics=physics, sim_dt=1 / 120, control_dt=1 / 30)
    env.reset()
    action = torch.stack((torch.zeros(28), torch.full((28,), 1.0), torch.full((28,), -5.0)))
    env.step(action)
    (ctrl, substeps) = physics.steps[0]
    assert substeps == 4
    slices = dict(zip(character.skeleton.joint_names, character.skeleton.dof_slices, strict=True))
    assert ctrl[0, slices["right_elbow"]].item() == pytest.approx(-1.396, abs=1e-3)
    assert ctrl[1, slices["right_elbow"]].item() == pytest.approx(-1.396 + 1.955, abs=1e-3)
    assert ctrl[2, slices["left_hip"]].tolist() == pytest.approx([-2.932] * 3, abs=1e-3), "actions are clamped to ±1"
    env.step(env.rest_action.expand(3, -1))
    torch.testing.assert_close(physics.steps[1][0], torch.zeros(3, 28), rtol=0, atol=1e-6)


def test_the_history_shifts_by_one_frame_a_step(character, library):
    env = make_env(character, library, 3)
    env.reset()
    before = env.history.clone()
    step = env.step(actions(3))
    assert torch.equal(step.disc_obs[:, :-1], before[:, 1:])
    assert torch.equal(step.disc_obs[:, -1], step.obs[:, env.layout.style_columns])
    torch.testing.assert_close(step.obs, observe(env.codec.decode(env.physics.qpos, env.physics.qvel), character.skeleton), rtol=0, atol=0)
    assert not step.reward.any()


def test_holding_the_rest_pose_stands_for_a_second(character, library):
    env = make_env(character, library, 2, start=ALL_DEFAULT)
    env.reset()
    for _ in range(30):
        step = env.step(env.rest_action.expand(2, -1))
        assert not step.terminated.any()
    assert env.state.root_pos[:, 2].min() > 0.8


def test_planar_pose_is_position_and_heading(character, library):
    env = make_env(character, library, 1, physics=ScriptedPhysics(character, 1))
    env.reset()
    env.physics.qpos[0, :7] = torch.tensor([3.0, -2.0, 0.9, 0.5**0.5, 0.0, 0.0, 0.5**0.5])
    env._state = None
    torch.testing.assert_close(env.planar_pose(), torch.tensor([[3.0, -2.0, torch.pi / 2]]))


# Continuation


@pytest.mark.parametrize("same", [True, False])
def test_a_saved_environment_continues_bit_for_bit(character, library, same):
    start = StartMix(clip=0.6, default=0.2, recovery=0.5)
    env = make_env(character, library, 21, seed=3, start=start, episode_length_s=0.4)

    def act(e, k):
        step = e.step(actions(21, k, size=1.0))
        return e.reset(step.done.nonzero().squeeze(-1)), step

    env.reset()
    for k in range(11):
        obs, _ = act(env, k)
    env.physics.qpos[4, 3] = torch.nan
    obs, _ = act(env, 11)
    saved = env.state_dict()
    copies = copy.deepcopy(saved)
    expected = [act(env, k) for k in range(12, 30)]
    for _ in range(2):  # the saved state survives being used
        other = env if same else make_env(character, library, 21, seed=99, start=start, episode_length_s=0.4)
        assert torch.equal(other.load_state_dict(saved), obs)
        assert other.num_diverged == 1
        torch.testing.assert_close(other.state.body_pos_w, StateCodec(character.skeleton).decode(other.physics.qpos, other.physics.qvel).body_pos_w, rtol=0, atol=0)
        for k, (next_obs, step) in enumerate(expected, start=12):
            found_obs, found = act(other, k)
            assert torch.equal(found_obs, next_obs), k
            for field in ("obs", "terminated", "truncated", "disc_obs"):
                assert torch.equal(getattr(found, field), getattr(step, field)), (k, field)
    torch.testing.assert_close(saved, copies, rtol=0, atol=0, equal_nan=True)
    assert sum(int(step.done.sum()) for _, step in expected) > 15, "episodes must end for this to mean much"


def test_the_same_seed_gives_the_same_episodes(character, library):
    def run(seed):
        env = make_env(character, library, 4, seed=seed, episode_length_s=0.1)
        rows = [env.reset()]
        for k in range(6):
            rows.append(env.step(actions(4, k)).obs)
            env.reset(torch.tensor([k % 4]))
        return torch.stack(rows)

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_after_reseeding_the_past_does_not_matter(character, library):
    """Not even which clips were hard, and who lay on the floor."""
    env = make_env(character, library, 16, episode_length_s=0.5, start=StartMix(clip=0.9, default=0.1, hard_share=0.9, recovery=0.5))

    def run(steps):
        env.reseed(3)
        rows = [env.reset()]
        for k in range(steps):
            step = env.step(actions(16, k, size=3.0))
            rows.append(env.reset(step.done.nonzero().squeeze(-1)))
        return torch.stack(rows)

    first = run(60)
    assert (env.starts.failure != 1).any(), "something was learned about the clips"
    assert torch.equal(run(60), first)


def test_steps_of_the_configuration():
    config = EnvConfig(sim_dt=1 / 240, control_dt=1 / 30, episode_length_s=10.0)
    assert config.num_substeps == 8
    assert config.episode_steps == 300


def test_states_of_any_kind_survive_the_round_trip_through_the_engine(character, library):
    env = make_env(character, library, 6)
    state = random_state(character.skeleton, 6)
    set_state(env, torch.arange(6), state)
    env._state = None
    torch.testing.assert_close(observe(env.state, character.skeleton), observe(state, character.skeleton), rtol=0, atol=2e-5)
