"""Where episodes start."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ase import rollout
from envs.demos import DemoWindows
from envs.features import FeatureLayout, observe
from envs.physics_cpu import CpuPhysics
from envs.resets import FALLEN, NO_CLIP, StartBank, StartMix, clip_history, default_state, fallen_pool, floor_loops, is_low, low_times
from envs.state import StateCodec
from motions.library import MotionLibrary
from tests.envs.helpers import ScriptedPhysics, gait_clip, make_env, random_state

DT = 1 / 30


def test_the_default_state_stands_at_rest_above_the_floor(character):
    state = default_state(character, 3)
    assert state.root_pos.tolist() == [pytest.approx([0.0, 0.0, 0.89])] * 3
    assert state.root_quat.tolist() == [[1.0, 0.0, 0.0, 0.0]] * 3
    assert not state.root_lin_vel.any()
    assert not state.root_ang_vel.any()
    assert not state.joint_vel.any()
    assert 0 < character.skeleton.lowest_point(state.body_pos_w, state.body_mat_w).min() < 0.02


def test_a_clips_history_leads_up_to_the_given_time(library):
    ids, times = torch.tensor([0, 1]), torch.tensor([0.9, 0.4])
    past = clip_history(library, ids, times, history=4, control_dt=DT)
    assert past.root_pos.shape == (2, 4, 3)
    for row in range(2):
        for back in range(4):
            then = library.state_at(ids[row : row + 1], times[row : row + 1] - back * DT)
            torch.testing.assert_close(past.root_pos[row, 3 - back], then.root_pos[0])
            torch.testing.assert_close(past.joint_quat[row, 3 - back], then.joint_quat[0])
            torch.testing.assert_close(past.root_ang_vel[row, 3 - back], then.root_ang_vel[0])


def test_fallen_characters_lie_low_and_still_and_differently(character):
    physics, codec = CpuPhysics(character.model, 24, 2), StateCodec(character.skeleton)
    qpos, qvel = fallen_pool(physics, codec, character, torch.Generator().manual_seed(0))
    assert qpos.shape == (24, 43)
    assert not qvel.any()
    state = codec.decode(qpos, qvel)
    assert state.root_pos[:, 2].max() < 0.5
    assert state.body_pos_w[..., 2].mean(1).max() < 0.45
    assert is_low(state, character.fall_bodies, character.fall_heights).all()
    assert not qpos[:, :2].any(), "they lie where they are put"
    lowest = character.skeleton.lowest_point(state.body_pos_w, state.body_mat_w)
    assert lowest.abs().max() < 0.05, "on the floor, neither in it nor above it"
    assert qpos[:, 3:7].std(0).min() > 0.1
    physics.set_state(torch.arange(24), qpos, qvel)
    physics.step(character.action_offset.expand(24, -1), 1)
    assert torch.isfinite(physics.qpos).all()


def test_the_pool_follows_from_the_seed(character):
    def pool(seed):
        return fallen_pool(CpuPhysics(character.model, 3, 1), StateCodec(character.skeleton), character, torch.Generator().manual_seed(seed), seconds=0.2)[0]

    assert torch.equal(pool(1), pool(1))
    assert not torch.equal(pool(1), pool(2))


def test_diverged_drops_are_left_out_of_the_pool(character):
    class Diverging(CpuPhysics):
        def step(self, ctrl, num_substeps):
            super().step(ctrl, num_substeps)
            self.qpos[1, 8] = torch.nan

    qpos, qvel = fallen_pool(Diverging(character.model, 3, 1), StateCodec(character.skeleton), character, torch.Generator().manual_seed(0), seconds=0.1)
    assert qpos.shape == (2, 43)
    assert qvel.shape == (2, 34)
    assert torch.isfinite(qpos).all()


def test_clips_that_go_to_the_floor_and_on_for_ever_are_found(character):
    skeleton = character.skeleton
    standing, lying = gait_clip(skeleton, "standing", loop="wrap"), gait_clip(skeleton, "lying", height_m=0.15, tilt=torch.pi / 2, loop="wrap")
    pos = standing.root_pos.copy()
    pos[50:70, 2] = 0.2
    clips = [standing, lying, replace(lying, name="gets up", loop="none"), replace(standing, name="dips", root_pos=pos)]
    library = MotionLibrary(clips, skeleton)
    assert floor_loops(library, character, DT).tolist() == [False, True, False, True], "to get up is not to roll"


def test_where_clips_lie_low_or_will_soon_is_known(character):
    """A clip that dips in the middle, one that begins low and goes round, one that ends low, and one that begins low and ends."""
    skeleton = character.skeleton
    high = gait_clip(skeleton, "dips", loop="none")
    clips = []
    for name, loop, part in (("dips", "none", (0.5, 0.6)), ("starts", "wrap", (0.0, 0.1)), ("ends", "none", (0.9, 1.1)), ("once", "none", (0.0, 0.1))):
        pos, times = high.root_pos.copy(), np.linspace(0, 1, len(high.root_pos))
        pos[(times >= part[0]) & (times <= part[1]), 2] = 0.2
        clips.append(replace(high, name=name, loop=loop, root_pos=pos))
    library = MotionLibrary(clips, skeleton)
    now, soon = low_times(library, character, DT), low_times(library, character, DT, ahead_s=0.3)
    assert now.shape == soon.shape
    for clip, (low, ahead) in enumerate(zip(now, soon, strict=True)):
        count = int(float(library.durations_s[clip]) / DT + 1e-3) + 1
        for t in range(count):
            later = [(t + k) % count if clip == 1 else min(t + k, count - 1) for k in range(round(0.3 / DT) + 1)]
            assert bool(ahead[t]) == bool(low[later].any()), (clip, t)
    assert 0.05 < now[0].float().mean() < 0.15
    assert now[1, 0]
    assert not now[1, 10]
    assert soon[1, 55], "it goes round"
    assert now[3, 0]
    assert not soon[3, 55]


def test_low_means_any_body_below_its_own_height(character):
    state = random_state(character.skeleton, 3, swing=0.0)
    pos = torch.full((3, 15, 3), 0.5)
    head = character.skeleton.body_names.index("head")
    hand = character.skeleton.body_names.index("left_hand")
    foot = character.skeleton.body_names.index("left_foot")
    pos[0, head, 2] = 0.29
    pos[1, hand, 2], pos[1, foot, 2], pos[1, head, 2] = 0.16, 0.0, 0.31
    pos[2, hand, 2] = 0.14
    low = type(state)(**{**vars(state), "body_pos_w": pos})
    assert is_low(low, character.fall_bodies, character.fall_heights).tolist() == [True, False, True]


@pytest.mark.parametrize("shares", [{"clip": -0.1}, {"clip": 0.0, "default": 0.0}, {"recovery": 1.5}, {"recovery": -0.5}, {"fallen": -1.0}])
def test_an_impossible_start_mix_is_refused(shares):
    with pytest.raises(ValueError, match=r"start mix: got clip .*, recovery .*; expected shares >= 0, recovery in \[0, 1\]"):
        StartMix(**shares)


# Windows of the clips, which the starts' histories must match.


def test_demo_windows_are_consecutive_control_steps_of_one_clip(character, library):
    layout = FeatureLayout.of(character)
    demos = DemoWindows(library, layout, DT, history=4)
    for clip_id, seconds in ((0, 2.0), (1, 1.5)):
        windows = demos.of_clip(clip_id)
        assert windows.shape == (round((seconds - 3 * DT) * 120) + 1, 4, layout.style_dim), "every start on a grid of a quarter step that ends within the clip"
        for start in (0, 7, len(windows) - 1):
            times = start / 120 + torch.arange(4) * DT
            expected = observe(library.state_at(torch.full((4,), clip_id), times.minimum(torch.tensor(seconds))), character.skeleton)[:, layout.style_columns]
            torch.testing.assert_close(windows[start], expected, rtol=1e-4, atol=2e-3)


def test_demo_windows_are_drawn_by_weight_and_from_everywhere(character):
    skeleton = character.skeleton
    clips = [gait_clip(skeleton, "low", seconds=0.5, height_m=0.9), gait_clip(skeleton, "never", seconds=0.4, height_m=1.5), gait_clip(skeleton, "high", seconds=1.0, height_m=1.2)]
    demos = DemoWindows(MotionLibrary(clips, skeleton, weights=[3, 0, 1]), FeatureLayout.of(character), DT, history=3)
    sample = demos.sample(4000, torch.Generator().manual_seed(0))
    assert sample.shape == (4000, 3, 105)
    assert not (sample[..., 0] > 1.4).any()
    assert (sample[:, 0, 0] < 1.1).float().mean().item() == pytest.approx(0.75, abs=0.03)
    drawn = {tuple(row) for row in sample[:, :, :4].flatten(1).tolist()}
    every = {tuple(row) for k in (0, 2) for row in demos.of_clip(k)[:, :, :4].flatten(1).tolist()}
    assert drawn == every


def test_a_clip_as_long_as_the_window_has_one_window_and_a_shorter_one_is_refused(character):
    skeleton, layout = character.skeleton, FeatureLayout.of(character)
    library = MotionLibrary([gait_clip(skeleton, "short", seconds=0.1)], skeleton)
    assert len(DemoWindows(library, layout, DT, history=4).of_clip(0)) == 1
    assert DemoWindows(library, layout, DT, history=4).sample(5).shape == (5, 4, 105)
    with pytest.raises(ValueError, match=r"clip short: lasts 0\.100 s; expected at least the history window of 0\.133 s"):
        DemoWindows(library, layout, DT, history=5)


def test_what_tells_how_far_a_character_is_from_a_clip_weighs_by_its_unit(character):
    layout = FeatureLayout.of(character)
    weights = layout.tracking_weights()
    assert weights.shape == (105,)
    assert weights[[0, 1, 7, 10, 13, 65, 93]].tolist() == pytest.approx([2.0, 0.35, 0.1, 0.01, 0.15, 0.001, 0.75])
    assert weights.sum().item() == pytest.approx(2 + 6 * 0.35 + 3 * 0.1 + 3 * 0.01 + 52 * 0.15 + 28 * 0.001 + 12 * 0.75)
    assert layout.tracking_weights(0.4, 0.2)[7:13].tolist() == pytest.approx([0.4, 0.4, 0.1, 0.01, 0.01, 0.2])


def make_bank(character, library, mix=None, size=50, seed=0, fallen=None):
    return StartBank(mix or StartMix(clip=0.6, default=0.4), 4, DT, character, library, torch.Generator().manual_seed(seed), fallen, size)


def test_a_bank_hands_out_every_start_once_and_mixes_their_kinds(character, library):
    bank = make_bank(character, library, size=50)
    taken = [bank.take(n) for n in (7, 40, 20, 33)]  # 100 starts, across a refill
    assert [len(t) for t in taken] == [7, 40, 20, 33]
    clips = torch.cat([t.clip for t in taken])
    poses = torch.cat([t.qpos for t in taken])[clips != NO_CLIP]
    assert len(poses.unique(dim=0)) == len(poses), "no start on a clip is handed out twice"
    assert 40 < len(poses) < 80
    assert set(clips.tolist()) == {NO_CLIP, 0, 1}
    changes = (clips[1:50] == NO_CLIP) != (clips[:49] == NO_CLIP)
    assert changes.sum() > 10, "kinds are not in blocks"


def test_a_start_is_whole(character, library):
    bank = make_bank(character, library, StartMix(clip=1.0, default=0.0))
    ids, times = torch.tensor([0, 1]), torch.tensor([0.9, 0.4])
    starts = bank.on_clip(ids, times)
    state = bank._codec.decode(starts.qpos, starts.qvel)
    torch.testing.assert_close(observe(state, character.skeleton), starts.obs, rtol=0, atol=2e-5)
    torch.testing.assert_close(starts.history[:, -1], starts.obs[:, FeatureLayout.of(character).style_columns], rtol=0, atol=0)
    assert starts.clip.tolist() == [0, 1]
    assert bank.standing(2).clip.tolist() == [NO_CLIP, NO_CLIP]
    lying = bank.fallen(starts.qpos, starts.qvel)
    assert lying.clip.tolist() == [FALLEN, FALLEN] == [rollout.FALLEN] * 2, "the learner knows it by the same number"
    assert lying.grace_steps.tolist() == [bank.grace] * 2


def test_a_bank_goes_on_as_saved_and_clearing_it_leaves_all_to_the_generator(character, library):
    bank, other = make_bank(character, library, seed=1), make_bank(character, library, seed=2)
    bank.take(30)
    saved, state = bank.state_dict(), bank.generator.get_state()
    other.load_state_dict(saved)
    other.generator.set_state(state)
    for n in (10, 30):
        assert torch.equal(bank.take(n).qpos, other.take(n).qpos)
    fresh = make_bank(character, library, seed=5)
    other.generator.manual_seed(5)
    other.clear()
    assert torch.equal(other.take(5).qpos, fresh.take(5).qpos)


# Clips that soon end in a fall


def test_a_clip_that_fails_is_started_on_more_often(character, library):
    bank = make_bank(character, library, StartMix(clip=1.0, default=0.0, hard_share=0.9))
    assert bank.clip_weights.tolist() == pytest.approx(library.weights.tolist()), "all are taken for hard at first"
    for _ in range(300):
        bank.learn(torch.tensor([0, 1, -1]), torch.tensor([True, False, True]), torch.ones(3))
    assert bank.failure.tolist() == pytest.approx([1.0, 0.98**300], abs=1e-5)
    weights = bank.clip_weights / library.weights
    assert weights.tolist() == pytest.approx([1.0, 0.1 + 0.9 * 0.98**300], abs=1e-5)
    bank.clear()
    drawn = bank.take(4000).clip
    assert (drawn == 0).float().mean().item() == pytest.approx(float(bank.clip_weights[0] / bank.clip_weights.sum()), abs=0.03)


def test_where_time_is_to_be_even_a_clip_of_long_episodes_is_started_on_less_often(character, library):
    even, plain = (make_bank(character, library, StartMix(clip=1.0, default=0.0, even_time=flag)) for flag in (True, False))
    for bank in (even, plain):
        for _ in range(600):
            bank.learn(torch.tensor([0, 1, -1]), torch.tensor([False, False, False]), torch.tensor([6.0, 0.1, 100.0]))
    assert (plain.clip_weights / library.weights).tolist() == [1.0, 1.0]
    assert (even.clip_weights / library.weights).tolist() == pytest.approx([1 / 6, 1 / 0.3], rel=1e-3), "the shortest count as 0.3 s"
    even.forget()
    assert even.seconds.tolist() == [1.0, 1.0]


def test_the_environment_tells_how_long_episodes_were(character, library):
    env = make_env(character, library, 3, physics=ScriptedPhysics(character, 3), start=StartMix(clip=1.0, default=0.0, even_time=True))
    env.reset()
    env.start_clip, env.episode_step = torch.tensor([0, 1, -1]), torch.tensor([60, 0, 60])
    env.reset(torch.arange(3))
    assert env.starts.seconds.tolist() == pytest.approx([0.98 + 0.02 * 2.0, 1.0]), "what has not begun has not ended"


def test_many_starts_at_once_count_as_one_after_the_other(character, library):
    one, many = make_bank(character, library), make_bank(character, library)
    for _ in range(10):
        one.learn(torch.tensor([1]), torch.tensor([False]), torch.tensor([3.0]))
    many.learn(torch.ones(10, dtype=torch.long), torch.zeros(10, dtype=torch.bool), torch.full((10,), 3.0))
    torch.testing.assert_close(one.failure, many.failure)
    torch.testing.assert_close(one.seconds, many.seconds)
    many.learn(torch.tensor([1, 1]), torch.tensor([True, False]), torch.tensor([1.0, 4.0]))
    assert many.failure[1].item() == pytest.approx(0.98**12 + (1 - 0.98**2) / 2)
    assert many.seconds.tolist() == pytest.approx([1.0, 0.98**12 + (1 - 0.98**10) * 0.98**2 * 3.0 + (1 - 0.98**2) * 2.5])


def test_only_an_early_fall_from_a_clip_counts_against_it(character, library):
    physics = ScriptedPhysics(character, 3)
    env = make_env(character, library, 3, physics=physics, start=StartMix(clip=1.0, default=0.0, hard_share=0.5), min_root_height_m=0.3)
    env.reset()
    assert env.starts.failure.tolist() == [1.0, 1.0], "a first reset ends no episode"
    env.start_clip = torch.tensor([0, 1, -1])
    env.episode_step, env.grace_steps = torch.tensor([120, 120, 3]), torch.tensor([-89, -90, -3])  # it had grace for a second
    env.physics.qpos[:, 2] = 0.1
    env.step(torch.zeros(3, 28))
    assert env.fallen.all()
    env.reset(torch.arange(3))
    assert env.starts.failure[0] == 1.0, "90 steps without grace are 3 s"
    assert env.starts.failure[1].item() == pytest.approx(0.98), "91 steps without grace are not soon"
    env.start_clip, env.episode_step, env.fallen = torch.tensor([0, -1, -1]), torch.tensor([3, 3, 3]), torch.zeros(3, dtype=torch.bool)
    env.reset(torch.arange(3))
    assert env.starts.failure[0].item() == pytest.approx(0.98), "ended early, but on its feet"


def test_a_restored_bank_prefers_what_the_saved_one_did(character, library):
    bank, other = (make_bank(character, library, StartMix(clip=1.0, default=0.0, hard_share=0.9, even_time=True), size=20) for _ in range(2))
    bank.learn(torch.ones(200, dtype=torch.long), torch.zeros(200, dtype=torch.bool), torch.full((200,), 6.0))
    bank.take(5)
    bank.learn(torch.zeros(300, dtype=torch.long), torch.zeros(300, dtype=torch.bool), torch.full((300,), 2.0))
    other.load_state_dict(bank.state_dict())
    assert torch.equal(other.failure, bank.failure)
    assert torch.equal(other.seconds, bank.seconds)
    for _ in range(3):
        assert torch.equal(bank.take(13).clip, other.take(13).clip)


def test_an_impossible_preference_is_refused():
    with pytest.raises(ValueError, match="start mix: hard_share, approach: got 1, 0; expected at least 0 and less than 1"):
        StartMix(hard_share=1.0)
    with pytest.raises(ValueError, match="got 0, -0\\.1; expected"):
        StartMix(approach=-0.1)
