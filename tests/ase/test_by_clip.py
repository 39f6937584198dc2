"""Each clip's latents are measured on that clip, on characters whose motion is known."""

import pytest
import torch

from ase.by_clip import begin_clips, play_clips
from ase.clip_space import ClipSpace
from tests.ase.toys import CPU, ToyStep, make_learner, tiny_config

DT = 0.1


class Clips:
    """Two clips, of 1 and 3 m/s; starts are where and when they were asked for."""

    names, num_clips = ("slow", "fast"), 2

    def sample_times(self, clip_ids, generator, min_time_s):
        assert min_time_s == pytest.approx(DT), "a window of two frames"
        return torch.full((len(clip_ids),), 0.5)

    def mean_speed(self, clip_id):
        return (1.0, 3.0)[clip_id]


class Poses:
    """Joints are off by one degree more each control step, and by ten more on the second clip."""

    step = 0.0

    def off_deg(self, frames, clips):
        assert frames.shape == (8, 3), "the last frame of each window"
        self.step += 1.0
        return self.step + 10.0 * clips


class Walkers:
    """Characters that go at twice the speed of the clip they started on and turn right at 0.5 rad/s on the second; every ``each``-th falls after ``fall_s``."""

    obs_dim, action_dim, device, rest_action, num_diverged = 3, 2, CPU, torch.zeros(2), 0

    def __init__(self, n, fall_s, each):
        self.num_envs, self.window, self.fall_s, self.each = n, (2, 3), fall_s, each
        self.history, self.start_clip, self.t = torch.zeros(n, 2, 3), torch.full((n,), -1), 0

    def reset(self, env_ids=None):
        return torch.zeros(self.num_envs, 3)

    def start_on_clip(self, env_ids, clip_ids, times_s):
        assert env_ids.tolist() == list(range(self.num_envs))
        assert times_s.tolist() == [0.5] * self.num_envs
        self.start_clip = clip_ids
        return torch.zeros(self.num_envs, 3)

    def allow_floor(self, env_ids, steps):
        self.allowed = (env_ids.tolist(), steps.tolist())

    def step(self, action):
        self.t += 1
        fell = (torch.arange(self.num_envs) % self.each == self.each - 1) & (self.t == round(self.fall_s / DT))
        return ToyStep(torch.zeros(self.num_envs, 3), torch.zeros(self.num_envs), fell, torch.zeros_like(fell), self.history)

    def planar_pose(self):
        speed = torch.where(self.start_clip == 0, 2.0, 6.0)
        return torch.stack((speed * self.t * DT, torch.zeros(self.num_envs), -0.5 * self.start_clip * self.t * DT), dim=-1)


def played(fall_s, each=4):
    env = Walkers(8, fall_s, each)
    clips = {"mirrored_clips": torch.tensor([-1, -1]), "floor_clips": torch.tensor([False, True])}
    learner = make_learner(env, tiny_config(latents={"dim": 4, "clip_share": 0.5}), **clips)
    seen = []
    learner.style.rewards = lambda windows, z: seen.append(learner.anchors.cell(z)) or (torch.full((len(z),), 0.8), torch.zeros(len(z)))
    found = play_clips(env, learner, Clips(), Poses(), seconds=4.0, control_dt=DT, seed=0)
    assert env.allowed == (list(range(8)), [0, 40] * 4), "what the second shows is no fall"
    assert all(cells.tolist() == [0, 1] * 4 for cells in seen), "each clip is played with latents of its own cell"
    return found


def test_speeds_turns_falls_and_style_are_those_of_each_clip():
    found = played(fall_s=2.0)
    assert found["slow"] == {"fall_rate": 0.0, "speed_m_s": 2.0, "turn_rad_s": 0.0, "clip_speed_m_s": 1.0, "style_reward": 0.8, "joint_error_deg": 25.5}
    fast = found["fast"]
    assert (fast["fall_rate"], fast["speed_m_s"], fast["turn_rad_s"], fast["clip_speed_m_s"]) == (0.5, 6.0, -0.5, 3.0)
    # two of the four fall at 2 s: of the 3 s that count, 2.0 s to 4.0 s (steps 20 to 40) earn nothing
    # steps 11 to 40 of those that stay up, 11 to 19 of the others
    assert fast["joint_error_deg"] == pytest.approx(10.0 + (sum(range(11, 41)) + sum(range(11, 20))) / 39, abs=0.006)
    assert fast["style_reward"] == pytest.approx(0.8 * (0.5 + 0.5 * 9 / 30), abs=1e-4)


def test_those_that_fall_before_anything_counts_are_left_out_of_speeds():
    found = played(fall_s=0.5)
    assert (found["fast"]["fall_rate"], found["fast"]["speed_m_s"]) == (0.5, 6.0)


def test_a_clip_under_which_all_fall_at_once_has_no_speed():
    found = played(fall_s=0.5, each=2)
    assert found["fast"] == {"fall_rate": 1.0, "speed_m_s": 0.0, "turn_rad_s": 0.0, "clip_speed_m_s": 3.0, "style_reward": 0.0, "joint_error_deg": None}
    assert found["slow"]["speed_m_s"] == 2.0


class Two:
    """Windows of two clips: one is all 0, the other all 1."""

    clip_names = ("still", "busy")

    def all_windows(self):
        clips = torch.arange(8) // 4
        return clips.float().view(-1, 1, 1).expand(-1, 2, 3) + 0.01 * torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(0)), clips


class Beginners(Walkers):
    """Characters that look like the second clip from ``busy_s [n]`` on, and like the first until then; those in ``falls`` fall at 4 s."""

    def __init__(self, busy_s, falls=()):
        super().__init__(len(busy_s), fall_s=4.0, each=10**9)
        self.busy_s, self.falls = torch.tensor(busy_s), falls

    def step(self, action):
        self.t += 1
        fell = torch.zeros(self.num_envs, dtype=torch.bool)
        fell[list(self.falls)] = self.t == 40
        busy = (self.t * DT > self.busy_s + 1e-6).float()
        return ToyStep(torch.zeros(self.num_envs, 3), torch.zeros(self.num_envs), fell, torch.zeros_like(fell), busy.view(-1, 1, 1).expand(-1, 2, 3))


def begun(busy_s, falls=()):
    env = Beginners(busy_s, falls)
    learner = make_learner(env, tiny_config(latents={"dim": 4, "clip_share": 0.5}), mirrored_clips=torch.tensor([-1, -1]), floor_clips=torch.tensor([False, True]))
    asked = []
    learner.act = lambda obs, z: asked.append(learner.anchors.cell(z).tolist()) or torch.zeros(len(z), 2)
    found = begin_clips(env, learner, ClipSpace(Two()), seconds=6.5, control_dt=DT, seed=0)
    assert len(asked) == 60, "two seconds and four whole ones"
    assert all(each == [0, 1] * (len(busy_s) // 2) for each in asked)
    assert env.allowed == (list(range(len(busy_s))), [0, 65] * (len(busy_s) // 2)), "what the second shows is no fall"
    return found


def test_a_clip_is_begun_by_who_plays_it_from_two_seconds_on():
    never, at_once = 99.0, 0.0
    assert begun([never, at_once]) == {"still": 1.0, "busy": 1.0}
    assert begun([at_once, never]) == {"still": 0.0, "busy": 0.0}
    assert begun([3.0, 3.0, never, 2.0]) == {"still": (0.25 + 1) / 2, "busy": (0.75 + 1) / 2}


def test_who_falls_has_begun_nothing():
    assert begun([99.0, 0.0, 99.0, 0.0], falls=[1, 2]) == {"still": 0.5, "busy": 0.5}
