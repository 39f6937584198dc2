"""Learning from falls that another skill would have prevented."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from ase.anchors import Anchors
from ase.safety import LONGEST, OWN_SHARE, Moments, SafetyConfig, SafetyCritic, Watch, advice, heed, learn_safety, outcomes
from ase.symmetry import Mirror
from tests.ase.toys import CPU, Scripted, ToyStep, make_learner, tiny_config

LATENTS = {"dim": 8, "clip_share": 0.5, "clip_focus": 0.9}
FLOOR = torch.tensor([False, False, False, True])


@pytest.fixture(autouse=True)
def _small_critics(monkeypatch):
    monkeypatch.setattr("ase.safety.CRITIC_HIDDEN", (32, 32))
    monkeypatch.setattr("ase.safety.CRITIC_BATCH", 512)
    monkeypatch.setattr("ase.safety.CRITIC_LR", 5e-3)


def flags(*rows):
    return torch.tensor([[c == "x" for c in row] for row in rows]).t()


def test_what_becomes_of_a_moment_is_known_where_its_latent_lasts():
    """By environment: falls in step 4; falls in the last step; lies after three steps; lies, but under the latent that comes next; falls under the next; is not seen for long."""
    ends = flags("....x.", ".....x", "......", ".x....", ".x.x..", "x.....")
    fell = flags("....x.", ".....x", "......", "......", "...x..", "x.....")
    down = flags("....x.", ".....x", "...x..", "..xx..", "...x..", "x.....")
    left = torch.tensor([[6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1], [3, 3, 4, 3, 2, 1], [3, 2, 4, 3, 2, 1], [2, 5, 4, 3, 2, 1]]).t()
    known, bad = outcomes(ends, fell, down, left, 3)
    assert torch.equal(known, flags("xxxx..", "xxxx..", "xxxx..", "xxxx..", "x.xx..", ".xxx.."))
    assert torch.equal(bad, flags("..xx..", "...x..", ".x....", "......", "..xx..", "......"))


def anchors():
    return Anchors(torch.tensor([-1, -1, -1, -1]), 4, focus=0.9)


def speaking(obs, z):
    """Acts as its latent says."""
    return z[:, 1:3] * obs[:, :1]


def ask(danger, config, clip=0, z=None, points=None):
    """Advice in one state where obs is 1, and the points of four clips."""
    here = anchors()
    if points is not None:
        here.points.copy_(torch.tensor(points))
    z = here.points[[clip]] if z is None else torch.tensor([z])
    action, overruled = advice(speaking, torch.tensor([danger]), here, FLOOR, torch.ones(1, 2), torch.tensor([clip]), z, config)
    return [round(x, 3) for x in action[0].tolist()], bool(overruled)


POINTS = [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.8, 0.6, 0.0], [0.0, 0.0, 0.0, 1.0]]


def test_a_dangerous_latent_is_overruled_by_a_safer_one():
    config = SafetyConfig(margin=0.1, near=0.0)
    assert ask([0.5, 0.2, 0.45, 0.0], config, points=POINTS) == ([0.0, 1.0], True)
    assert ask([0.5, 0.41, 0.45, 0.0], config, points=POINTS) == ([1.0, 0.0], False), "hardly safer"
    assert ask([0.1, 0.9, 0.9, 0.0], config, points=POINTS) == ([1.0, 0.0], False)
    assert ask([0.9, 0.1, 0.1, 0.9], config, clip=3, points=POINTS) == ([0.0, 0.0], False), "who may lie is left alone"


def test_of_safe_latents_the_one_that_asks_for_least_is_heeded():
    assert ask([0.5, 0.2, 0.25, 0.0], SafetyConfig(margin=0.1, near=0.2), points=POINTS) == ([0.8, 0.6], True)
    assert ask([0.5, 0.2, 0.27, 0.0], SafetyConfig(margin=0.1, near=0.2), points=POINTS) == ([0.0, 1.0], True)


def test_latents_are_as_far_from_the_anchor_of_the_other_clip():
    z = F.normalize(torch.tensor([0.1, 0.9, 0.0, 0.3]), dim=-1)
    expected = F.normalize(z + torch.tensor([0.0, -1.0, 1.0, 0.0]), dim=-1)[1:3]
    action, overruled = ask([0.5, 0.2, 0.45, 0.0], SafetyConfig(margin=0.1, near=0.0), z=z.tolist(), points=POINTS)
    assert overruled
    assert action == pytest.approx(expected.tolist(), abs=1e-3)


def test_each_of_many_is_advised_on_its_own():
    generator = torch.Generator().manual_seed(0)
    here, danger, clip = anchors(), torch.rand(50, 4, generator=generator), torch.randint(4, (50,), generator=generator)
    z, obs = here.sample(clip, generator), torch.rand(50, 2, generator=generator)
    config = SafetyConfig(margin=0.2, near=0.5)
    action, overruled = advice(speaking, danger, here, FLOOR, obs, clip, z, config)
    assert 5 < int(overruled.sum()) < 45
    for k in range(50):
        alone, whether = advice(speaking, danger[[k]], here, FLOOR, obs[[k]], clip[[k]], z[[k]], config)
        assert bool(whether) == bool(overruled[k])
        torch.testing.assert_close(alone[0], action[k])


class Standing(Scripted):
    """Scripted environments that tell what safety is learned from: who is down in which steps, and how long episodes last."""

    def __init__(self, *args, down=(), steps_left=1000, **kwargs):
        super().__init__(*args, **kwargs)
        self.lying, self.limit = down, steps_left

    @property
    def down(self):
        return torch.tensor([(self.time - 1, i) in self.lying for i in range(self.num_envs)])

    @property
    def steps_left(self):
        return torch.full((self.num_envs,), self.limit)


def skilled(env, clips=2, **config):
    return make_learner(env, tiny_config(latents=LATENTS | config), mirrored_clips=torch.full((clips,), -1))


def test_moments_are_those_before_each_step_and_what_came_of_them():
    env = Standing(3, 2, terminate={(5, 0)}, truncate={(2, 1)}, down={(3, 2)})
    watch = Watch(env, skilled(env), torch.tensor([False, False]), 3)
    watch.left = torch.full((3,), 100)
    clips = watch.clip.clone()
    seen, falls = watch.act(8)
    assert falls == pytest.approx(1000 / 24)
    assert env.resets == [(0, [0, 1, 2]), (3, [1]), (6, [0])]
    obs = seen.obs.view(8, 3, 3)
    assert obs[:, 1, 1].tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    assert torch.equal(seen.clip.view(8, 3)[0], clips)
    assert torch.equal(watch.learner.anchors.cell(seen.z), seen.clip)
    known, bad = seen.known.view(8, 3), seen.bad.view(8, 3)
    assert known[:, 0].tolist() == [True] * 6 + [False] * 2
    assert bad.nonzero().tolist() == [[1, 2], [3, 0], [4, 0], [5, 0]]


def test_what_lies_where_it_may_is_no_worse_for_it():
    env = Standing(2, 2, down={(t, i) for t in range(9) for i in range(2)})
    learner = skilled(env)
    learner.latents_for = lambda clips: learner.anchors.points[clips]
    watch = Watch(env, learner, torch.tensor([False, True]), 3)
    watch.clip, watch.left = torch.tensor([0, 1]), torch.tensor([50, 50])
    assert watch.act(4)[0].bad.view(4, 2).tolist() == [[True, False], [True, False], [False, False], [False, False]]


def test_latents_are_held_for_longer_than_the_horizon_and_the_floor_is_allowed_by_their_clips():
    env = Standing(4000, 2, terminate={(0, i) for i in range(4000)})
    env.start_clip = torch.where(torch.arange(4000) < 3000, 1, -1)
    watch = Watch(env, skilled(env, clips=4), FLOOR, 30)
    assert (int(watch.left.min()), int(watch.left.max())) == (40, round(LONGEST * 40))
    watch.act(1)
    time, ids, steps = env.allowed[-1]
    assert (time, ids) == (1, list(range(4000)))
    assert steps == (watch.left * FLOOR[watch.clip]).tolist()
    assert (watch.clip[:3000] == 1).float().mean().item() == pytest.approx(OWN_SHARE + (1 - OWN_SHARE) / 4, abs=0.03)
    assert (watch.clip[3000:] == 1).float().mean().item() == pytest.approx(1 / 4, abs=0.03)


def test_a_latent_whose_time_is_up_gives_way_to_any_other():
    env = Standing(3000, 2)
    env.start_clip = torch.ones(3000, dtype=torch.long)
    watch = Watch(env, skilled(env, clips=4), FLOOR, 30)
    watch.left = torch.full((3000,), 2)
    before = watch.z
    seen, _ = watch.act(3)
    z = seen.z.view(3, 3000, 8)
    assert torch.equal(z[:2], before.expand(2, -1, -1))
    assert not (z[2] == before).all(-1).any()
    assert (watch.clip == 1).float().mean().item() == pytest.approx(1 / 4, abs=0.03), "only new episodes prefer the clip that they began on"
    assert not seen.known.any(), "two steps tell nothing of thirty"


def test_a_time_limit_ends_what_can_be_known():
    env = Standing(2, 2, steps_left=2)
    watch = Watch(env, skilled(env), torch.tensor([False, False]), 3)
    assert not watch.act(6)[0].known.any()


MIRROR = Mirror(torch.tensor([0, 1]), torch.tensor([-1.0, 1.0]), torch.tensor([0, 1]), torch.tensor([-1.0, 1.0]))


def critic_of(mirrored, mirror):
    learner = make_learner(Scripted(4, 2), tiny_config(latents=LATENTS), mirrored_clips=torch.tensor(mirrored))
    learner.mirror = mirror
    return SafetyCritic(learner, learner.anchors, 2, CPU, False)


def test_the_critic_learns_who_falls_under_which_latents():
    critic = critic_of([-1, -1, -1], None)
    generator = torch.Generator().manual_seed(0)
    obs, clip = 4 * torch.rand(4000, 2, generator=generator) - 2, torch.randint(2, (4000,), generator=generator)
    bad = torch.where(clip == 0, obs[:, 0] > 0, obs[:, 1] > 0)
    first = critic.learn(obs.half(), clip, bad, 1)
    assert first == pytest.approx(0.69, abs=0.03)
    assert critic.learn(obs.half(), clip, bad, 60) < 0.3
    danger = critic(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
    assert danger[0, 0] > 0.9 > 0.1 > danger[0, 1]
    assert danger[1, 1] > 0.9 > 0.1 > danger[1, 0]


def test_mirror_images_teach_the_critic_of_a_symmetric_policy():
    critic = critic_of([1, 0, -1], MIRROR)
    assert critic.image.tolist() == [1, 0, 2]
    generator = torch.Generator().manual_seed(0)
    obs = 4 * torch.rand(4000, 2, generator=generator) - 2
    critic.learn(obs.half(), torch.zeros(4000, dtype=torch.long), obs[:, 0] > 0, 60)
    danger = critic(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    assert danger[0, 0] > 0.9 > 0.1 > danger[1, 0]
    assert danger[1, 1] > 0.9 > 0.1 > danger[0, 1]


class Ledge:
    """Points on a line that is 2 long, with a fall at its right end and a wall at its left. Action: velocity, for 0.1 s."""

    obs_dim = action_dim = 2
    device, window, rest_action = CPU, (2, 2), torch.zeros(2)

    def __init__(self, num_envs):
        self.num_envs = num_envs
        self.generator = torch.Generator().manual_seed(0)
        self.start_clip, self.history = torch.full((num_envs,), -1), torch.zeros(num_envs, 2, 2)
        self.x, self.age = torch.zeros(num_envs), torch.zeros(num_envs, dtype=torch.long)
        self.down = torch.zeros(num_envs, dtype=torch.bool)

    @property
    def steps_left(self):
        return 60 - self.age

    def obs(self):
        return torch.stack((self.x, torch.zeros(self.num_envs)), dim=-1)

    def reset(self, env_ids=None):
        ids = torch.arange(self.num_envs) if env_ids is None else env_ids
        self.x = self.x.index_copy(0, ids, 2 * torch.rand(len(ids), generator=self.generator) - 1)
        self.age = self.age.index_fill(0, ids, 0)
        return self.obs()

    def allow_floor(self, env_ids, steps):
        assert not steps.any()

    def step(self, action):
        self.x, self.age = (self.x + 0.1 * action[:, 0].clamp(-1, 1)).clamp_min(-1), self.age + 1
        fell = self.x > 1
        return ToyStep(self.obs(), torch.zeros(self.num_envs), fell, (self.age >= 60) & ~fell, self.history)


SHORT = SafetyConfig(rounds=7, steps=60, critic_updates=40, updates=150, batch_size=512, lr=5e-3, horizon_s=4.0, near=0.0)


def runner():
    """Points that run to the right under one clip and to the left under the other."""
    env = Ledge(128)
    learner = skilled(env)
    learner.obs_normalizer.settle()
    optimizer = torch.optim.Adam(learner.policy.parameters(), 1e-2)
    for _ in range(300):
        clips = torch.arange(256) % 2
        obs = torch.cat((2 * torch.rand(256, 1, generator=env.generator) - 1, torch.zeros(256, 1)), dim=-1)
        loss = (learner.policy(obs, learner.latents_for(clips)) - torch.stack((1.0 - 2 * clips, 0.0 * clips), dim=-1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return env, learner


def test_a_policy_stops_at_the_ledge_and_goes_on_elsewhere():
    env, learner = runner()
    made = []
    learn_safety(env, learner, 1.0, SHORT, lambda *each: made.append(each))
    assert [each[0] for each in made] == list(range(1, 8))
    assert made[0][1] > 10, "many run over the ledge"
    assert made[0][2] == 0, "in the first round only the critic learns"
    assert made[-1][1] < 0.1 * made[0][1]
    assert made[1][2] > 0.05
    z = learner.latents_for(torch.tensor([0, 0, 1, 1]))
    obs = torch.tensor([[-0.9, 0.0], [0.95, 0.0], [-0.5, 0.0], [0.95, 0.0]])
    moves = learner.act(obs, z)[:, 0].tolist()
    assert moves[0] > 0.6, "where nothing threatens it does as it did"
    assert max(moves[2:]) < -0.6
    assert moves[1] < 0.5, "at the ledge it does not run on"


def test_what_is_overruled_is_learned_and_the_rest_stays():
    """A critic that finds the first clip dangerous to the right of the middle, and moments that were all seen under the second."""
    _, learner = runner()
    critic = SafetyCritic(learner, learner.anchors, 2, CPU, False)
    critic.net = lambda obs: torch.stack((20 * obs[:, 0], torch.full_like(obs[:, 0], -20)), dim=-1)
    obs = torch.stack((torch.linspace(-1, 1, 400), torch.zeros(400)), dim=-1)
    clips = torch.ones(400, dtype=torch.long)
    seen = Moments(obs.half(), clips, learner.latents_for(clips), torch.ones(400, dtype=torch.bool), torch.zeros(400, dtype=torch.bool))
    share = heed(learner, critic, learner.anchors, torch.tensor([False, False]), seen, SafetyConfig(updates=300, batch_size=512, lr=5e-3, near=0.0))
    assert share == pytest.approx(0.125, abs=0.03)
    moves = learner.act(torch.tensor([[-0.6, 0.0], [0.6, 0.0], [-0.6, 0.0], [0.6, 0.0]]), learner.latents_for(torch.tensor([0, 0, 1, 1])))[:, 0]
    torch.testing.assert_close(moves, torch.tensor([1.0, -1.0, -1.0, -1.0]), atol=0.35, rtol=0)


def test_latents_have_to_stand_for_clips():
    env = Standing(4, 2)
    with pytest.raises(ValueError, match=r"^train: safety\.rounds: got 7 with latents\.clip_share 0; expected a share above 0$"):
        learn_safety(env, make_learner(env, tiny_config(latents={"dim": 8})), 1.0, SHORT)


@pytest.mark.parametrize(("steps", "steps_left"), [(3, 1000), (60, 3)])
def test_a_horizon_that_nobody_sees_is_refused(steps, steps_left):
    env = Standing(4, 2, steps_left=steps_left)
    with pytest.raises(ValueError, match=r"^safety: horizon_s: got 4 = 4 control steps; expected at most 3, which a round and an episode last$"):
        learn_safety(env, skilled(env), 1.0, replace(SHORT, steps=steps))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rounds": -1}, "safety: rounds, steps, critic_updates, updates, batch_size: got -1, 240, 300, 500, 3072; expected at least 0, and 1 each of the others"),
        ({"updates": 0}, "safety: rounds, steps, critic_updates, updates, batch_size: got 0, 240, 300, 0, 3072; expected at least 0, and 1 each of the others"),
        ({"horizon_s": 0.0}, "safety: horizon_s, margin, near: got 0, 0.1, 0.2; expected more than 0, and at least 0 and less than 1 twice"),
        ({"margin": 1.0}, "safety: horizon_s, margin, near: got 2.5, 1, 0.2; expected more than 0, and at least 0 and less than 1 twice"),
        ({"near": -0.1}, "safety: horizon_s, margin, near: got 2.5, 0.1, -0.1; expected more than 0, and at least 0 and less than 1 twice"),
    ],
)
def test_wrong_settings_are_named(wrong, message):
    with pytest.raises(ValueError, match="safety: ") as caught:
        SafetyConfig(**wrong)
    assert str(caught.value) == message
