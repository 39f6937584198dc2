"""Teaching a policy what others can do."""

import pytest
import torch
import torch.nn.functional as F

from ase.coaching import NOISES
from ase.distillation import ANEW, ANY, OWN_SHARE, DistillConfig, Landmarks, Master, Moments, School, advice, distill
from ase.normalizer import SETTLED
from tests.ase.toys import PointMass, Scripted, make_learner, tiny_config

LATENTS = {"dim": 8, "clip_share": 0.5, "clip_focus": 0.9}
SHORT = DistillConfig(rounds=8, steps=20, updates=80, batch_size=256, lr=1e-2, led_rounds=3, kept=2000)


def student(env):
    return make_learner(env, tiny_config(latents=LATENTS), mirrored_clips=torch.tensor([-1, -1, -1]))


def nowhere(obs_dim):
    """Landmarks by which all states are everybody's."""
    return Landmarks(torch.zeros(1, obs_dim), torch.tensor([ANY]), torch.ones(obs_dim))


NOWHERE, IN_A_SCRIPT = nowhere(2), nowhere(3)


def anywhere(n):
    return torch.full((n,), ANY)


def master(act, *clips, shift=None, been=None, anywhere=None):
    """Teaches ``clips`` of three, of those ``anywhere`` (all of them) wherever it is; has ``been`` on those (or on others); sees observations ten times too large."""
    teaches, been, always = (torch.isin(torch.arange(3), torch.tensor(ids)) for ids in (clips, clips if been is None else been, clips if anywhere is None else anywhere))
    return Master(act, lambda obs: 10 * obs, torch.zeros(3, 8) if shift is None else shift, teaches, been, always)


def masters():
    """The first knows how to get to the origin, the second goes right under one clip and up under the other."""
    return [master(lambda obs, z: -0.05 * obs, 0), master(lambda obs, z: 0.0 * obs + 0.3 * F.one_hot(z.argmax(-1) % 2, 2), 1, 2, shift=torch.eye(8)[:3] * 5)]


def test_each_clip_is_taught_by_its_master_under_a_latent_as_far_from_its_anchor():
    z = F.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    shift = torch.arange(24.0).view(3, 8) / 10
    other = master(lambda obs, z: z[:, :2], 1, 2, shift=shift)
    found = advice([master(lambda obs, z: obs, 0), other], anywhere(4), torch.arange(8.0).view(4, 2), torch.tensor([2, 0, 1, 0]), z)
    expected = F.normalize(z + shift[torch.tensor([2, 0, 1, 0])], dim=-1)[:, :2]
    torch.testing.assert_close(found, torch.stack((expected[0], torch.tensor([20.0, 30.0]), expected[2], torch.tensor([60.0, 70.0]))))


def test_who_does_not_know_a_clip_leaves_what_is_in_the_middle_of_it_to_the_next():
    first = master(lambda obs, z: torch.ones(len(obs), 2), 0, 1, anywhere=[1])
    second = master(lambda obs, z: torch.full((len(obs), 2), 2.0), 0, 2)
    landmarks = Landmarks(torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]), torch.tensor([ANY, 0, 1, 2]), torch.ones(2))
    at = torch.tensor([0.1, 0.9, 2.2, 2.8, 2.8, 2.8, 0.1])
    obs = torch.stack((at, torch.zeros(7)), dim=-1)
    found = advice([first, second], landmarks.nearest(obs), obs, torch.tensor([0, 0, 0, 0, 1, 2, 2]), torch.zeros(7, 8))
    assert found[:, 0].tolist() == [1, 1, 1, 2, 1, 2, 2]


def test_a_master_has_been_on_clips_that_it_does_not_teach():
    first = master(lambda obs, z: torch.ones(len(obs), 2), 0, been=[0, 2], anywhere=[])
    second = master(lambda obs, z: torch.full((len(obs), 2), 2.0), 0, 1, 2)
    found = advice([first, second], torch.tensor([0, 1, 2, 0, 1, 2]), torch.zeros(6, 2), torch.tensor([0, 0, 0, 2, 2, 2]), torch.zeros(6, 8))
    assert found[:, 0].tolist() == [1, 2, 1, 2, 2, 2]


def test_states_are_compared_by_scale():
    landmarks = Landmarks(torch.tensor([[0.0, 0.0], [1.0, 5.0]]), torch.tensor([0, 1]), torch.tensor([2.0, 0.0]))
    assert landmarks.nearest(torch.tensor([[0.4, 5.0], [0.6, 0.0]])).tolist() == [0, 1]


def test_a_policy_learns_what_several_others_do_wherever_it_gets_to():
    env = PointMass(32, seed=0)
    learner, made = student(env), []
    distill(env, learner, masters(), NOWHERE, torch.ones(3), SHORT, lambda *each: made.append(each))
    assert [each[0] for each in made] == list(range(1, 9))
    assert made[-1][1] < 0.05 < made[0][1]
    assert made[-1][2] == 0.0
    obs, clips = 2 * torch.rand(300, 2, generator=torch.Generator().manual_seed(1)) - 1, torch.arange(300) % 3
    z = learner.latents_for(clips)
    torch.testing.assert_close(learner.act(obs, z), advice(masters(), anywhere(300), obs, clips, z), atol=0.15, rtol=0)
    assert float(learner.obs_normalizer.count) == SETTLED
    assert learner.obs_normalizer.mean.abs().max() > 0.01, "statistics are of what was seen first"


def test_what_weighs_nothing_is_not_taught():
    env = PointMass(32, seed=0)
    asked = []
    known = master(lambda obs, z: 0.0 * obs, 0, 2)
    distill(
        env, student(env), [known, master(lambda obs, z: asked.append(obs), 1)], NOWHERE, torch.tensor([1.0, 0.0, 1.0]), DistillConfig(rounds=1, steps=5, updates=3, batch_size=64)
    )
    assert asked == []


def test_the_latest_moments_are_learned_from_half_of_them_under_what_led_there(monkeypatch):
    env = PointMass(32, seed=0)
    led, asked = [], []

    def act(self, steps, share):
        led.append((steps, share))
        return Moments(torch.full((steps * 32, 2), float(len(led))), anywhere(steps * 32), torch.ones(steps * 32, dtype=torch.long)), 4

    monkeypatch.setattr(School, "act", act)
    every = [master(lambda obs, z, k=k: asked.append((len(led), k, obs / 10)) or 0.0 * obs, k) for k in range(3)]
    made = []
    distill(
        env, student(env), every, NOWHERE, torch.ones(3), DistillConfig(rounds=6, steps=10, updates=20, batch_size=300, led_rounds=4, kept=640), lambda *each: made.append(each)
    )
    assert led == [(10, share) for share in (1.0, 0.75, 0.5, 0.25, 0.0, 0.0)]
    assert [each[2] for each in made] == [1000 * 4 / 320] * 6
    for k in range(1, 7):
        seen = torch.cat([obs for number, _, obs in asked if number == k])[:, 0]
        assert seen.unique().tolist() == ([1.0] if k == 1 else [k - 1.0, float(k)])
    counts = [sum(len(obs) for _, clip, obs in asked if clip == k) for k in range(3)]
    assert counts[1] / sum(counts) == pytest.approx(OWN_SHARE + (1 - OWN_SHARE) / 3, abs=0.02)


def test_moments_remember_where_they_belong():
    """Whom to ask is looked up once, when somebody gets there."""
    env, asked = PointMass(32, seed=0), []
    landmarks = Landmarks(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 2]), torch.tensor([1.0, 0.0]))
    left = master(lambda obs, z: asked.append((0, obs)) or 0.0 * obs, 0, 1, 2, been=[0], anywhere=[])
    other = master(lambda obs, z: asked.append((1, obs)) or 0.0 * obs, 0, 1, 2)
    distill(env, student(env), [left, other], landmarks, torch.ones(3), DistillConfig(rounds=2, steps=10, updates=20, batch_size=64, led_rounds=1))
    sides = [(k, bool(x < 0)) for k, obs in asked for x in obs[:, 0].tolist()]
    assert set(sides) == {(0, True), (1, False)}


def school(env):
    return School(env, student(env), masters(), IN_A_SCRIPT, torch.ones(3))


def test_moments_are_those_before_each_step_and_the_fallen_start_anew():
    env = Scripted(4, 3, terminate={(2, 1), (3, 1)}, truncate={(3, 0)})
    here = school(env)
    clips = here.clip.clone()
    seen, fell = here.act(5, 0.0)
    assert fell == 2
    assert env.resets == [(0, [0, 1, 2, 3]), (3, [1]), (4, [0, 1])]
    obs, under = seen.obs.view(5, 4, 3), seen.clip.view(5, 4)
    assert obs[:, 2, 1].tolist() == [0, 1, 2, 3, 4]
    assert obs[:, 1, 1].tolist() == [0, 1, 2, 0, 0]
    assert torch.equal(under[0], clips)
    assert torch.equal(here.obs, env.obs)
    assert here.student.anchors.cell(here.z).tolist() == here.clip.tolist()


def test_who_starts_on_a_clip_mostly_is_asked_for_it():
    env = Scripted(3000, 3, terminate={(0, i) for i in range(3000)})
    env.start_clip = torch.where(torch.arange(3000) < 2000, 2, -1)
    here = school(env)
    here.act(1, 0.0)
    assert (here.clip[:2000] == 2).float().mean().item() == pytest.approx(OWN_SHARE + (1 - OWN_SHARE) / 3, abs=0.04)
    assert (here.clip[2000:] == 2).float().mean().item() == pytest.approx(1 / 3, abs=0.04)


def test_who_starts_on_a_clip_that_nobody_teaches_is_asked_for_another():
    env = Scripted(60, 3, terminate={(0, i) for i in range(60)})
    env.start_clip = torch.full((60,), 1)
    here = School(env, student(env), [master(lambda obs, z: obs[:, :2], 0, 2)], IN_A_SCRIPT, torch.tensor([1.0, 0.0, 1.0]))
    here.act(1, 0.0)
    assert here.clip.unique().tolist() == [0, 2]


def test_latents_are_held_for_a_while():
    env = Scripted(3000, 3)
    here = school(env)
    clip, z = here.clip.clone(), here.z.clone()
    here.act(15, 0.0)
    kept = (here.z == z).all(-1)
    assert kept.float().mean().item() == pytest.approx((1 - ANEW) ** 15, abs=0.03)
    assert torch.equal(here.clip[kept], clip[kept])
    assert len(env.allowed) == 15


@pytest.mark.parametrize(("led", "share"), [(0.0, 0.0), (0.4, 0.4), (1.0, 1.0)])
def test_masters_act_in_a_share_of_the_steps(led, share):
    env = Scripted(3000, 3)
    here = School(env, student(env), [master(lambda obs, z: torch.full((len(obs), 2), 7.0), 0, 1, 2)], IN_A_SCRIPT, torch.ones(3))
    here.act(1, led)
    off = (env.actions[0] - 7).norm(dim=-1)
    assert (off < 1).float().mean().item() == pytest.approx(share, abs=0.04)
    quiet = torch.arange(3000) % len(NOISES) == 0
    if led == 1.0:
        assert off[quiet].max() == 0
        assert (env.actions[0] - 7)[torch.arange(3000) % len(NOISES) == 2].std().item() == pytest.approx(NOISES[2], rel=0.1)


@pytest.mark.parametrize("name", ["rounds", "steps", "updates", "batch_size", "led_rounds", "kept"])
def test_settings_that_would_teach_nothing_are_named(name):
    with pytest.raises(ValueError, match=r"distill: rounds, steps, updates, batch_size, led_rounds, kept: got .*; expected at least 1 each"):
        DistillConfig(**{name: 0})
