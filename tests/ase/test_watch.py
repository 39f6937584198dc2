"""How a guard learns: who is left alone under which latents, and what became of it."""

from dataclasses import replace

import pytest
import torch

from ase.guard import Guard, GuardConfig
from ase.symmetry import Mirror
from ase.watch import ALONE, AT_ONCE, GUARDED, KEEPS, OWN_SHARE, TAKES, Lessons, Moments, Watch, learn_guard, outcomes
from tests.ase.toys import CPU, Scripted, ToyStep, make_learner, tiny_config

LATENTS = {"dim": 8, "clip_share": 0.5, "clip_focus": 0.9}
FLOOR = torch.tensor([False, False, False, True])
MIRROR = Mirror(torch.tensor([0, 1]), torch.tensor([-1.0, 1.0]), torch.tensor([0, 1]), torch.tensor([-1.0, 1.0]))


@pytest.fixture(autouse=True)
def _small_guards(monkeypatch):
    monkeypatch.setattr("ase.guard.HIDDEN", (32, 32))
    monkeypatch.setattr("ase.watch.BATCH", 512)
    monkeypatch.setattr("ase.watch.LR", 1e-2)


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


def watching(env, clips=2, horizon=3, floor=None, danger=None):
    learner = skilled(env, clips)
    guard = Guard(learner.anchors, torch.zeros(clips, dtype=torch.bool) if floor is None else floor, env.obs_dim)
    guard.danger = lambda obs: torch.tensor([danger or [0.5] * clips]).expand(len(obs), -1)
    return Watch(env, learner, guard, horizon)


def test_moments_are_those_of_who_is_alone_and_what_came_of_them():
    env = Standing(4, 2, terminate={(5, 0)}, truncate={(2, 1)}, down={(3, 2)})
    watch = watching(env)
    watch.left, watch.alone = torch.tensor([100, 100, 100, 7]), torch.tensor([True, True, True, False])
    watch._hold = lambda ids: (watch.left.index_fill_(0, ids, 100), watch.alone.index_fill_(0, ids, False))
    clips = watch.clip.clone()
    seen, falls = watch.act(8)
    assert falls == 0.0, "nobody who was guarded fell"
    assert env.resets == [(0, [0, 1, 2, 3]), (3, [1]), (6, [0])]
    rows = [(int(who), int(age), int(bad)) for (who, age, _), bad in zip(seen.obs.tolist(), seen.bad, strict=True)]
    assert rows == [
        (0, 0, 0),
        (1, 0, 0),
        (2, 0, 0),
        (0, 1, 0),
        (1, 1, 0),
        (2, 1, 1),
        (0, 2, 0),
        (1, 2, 0),
        (2, 2, 0),
        (0, 3, 1),
        (2, 3, 0),
        (0, 4, 1),
        (2, 4, 0),
        (0, 5, 1),
        (2, 5, 0),
    ]
    assert torch.equal(seen.clip[:3], clips[:3])


def test_falls_of_the_guarded_are_counted():
    env = Standing(4, 2, terminate={(1, 0), (1, 1)})
    watch = watching(env)
    watch.left, watch.alone = torch.full((4,), 50), torch.tensor([True, False, False, False])
    assert watch.act(2)[1] == pytest.approx(1000 / 6)


def test_what_lies_where_it_may_is_no_worse_for_it():
    watch = watching(Standing(2, 2, down={(t, i) for t in range(9) for i in range(2)}), floor=torch.tensor([False, True]))
    watch.clip, watch.left, watch.alone = torch.tensor([0, 1]), torch.tensor([50, 50]), torch.tensor([True, True])
    assert watch.act(4)[0].bad.view(2, 2).tolist() == [[True, False], [True, False]]


def test_episodes_begin_under_guard_or_alone_and_the_floor_is_allowed_by_their_clips():
    env = Standing(4000, 2, terminate={(0, i) for i in range(4000)})
    env.start_clip = torch.where(torch.arange(4000) < 3000, 1, -1)
    watch = watching(env, clips=4, horizon=30, floor=FLOOR)
    watch.alone[:], watch.left[:] = True, 9
    watch.act(1)
    assert watch.alone.float().mean().item() == pytest.approx(AT_ONCE, abs=0.03)
    for who, low, high in ((watch.alone, ALONE[0], ALONE[1]), (~watch.alone, 0, GUARDED)):
        assert (int(watch.left[who].min()), int(watch.left[who].max())) == (int(low * 30) + 1, round(high * 30))
    time, ids, steps = env.allowed[-1]
    assert (time, ids) == (1, list(range(4000)))
    assert steps == (watch.left * FLOOR[watch.clip]).tolist()
    assert torch.equal(watch.learner.anchors.cell(watch.z), watch.clip)
    assert (watch.clip[:3000] == 1).float().mean().item() == pytest.approx(OWN_SHARE + (1 - OWN_SHARE) / 4, abs=0.03)
    assert (watch.clip[3000:] == 1).float().mean().item() == pytest.approx(1 / 4, abs=0.03)


def test_who_is_left_alone_keeps_its_latent_or_takes_the_safest_or_any():
    env = Standing(6000, 2)
    watch = watching(env, clips=4, horizon=30, danger=[0.5, 0.45, 0.5, 0.5])
    watch.clip[:], watch.left[:], watch.alone[:] = 0, 0, False
    watch.z = watch.learner.latents_for(watch.clip)
    before = watch.z.clone()
    watch.act(1)
    assert watch.alone.all()
    assert torch.equal(watch.guard.cell(watch.z), watch.clip)
    shares = [(watch.clip == k).float().mean().item() for k in range(4)]
    other = (1 - KEEPS - TAKES) / 4
    assert shares == pytest.approx([KEEPS + other, TAKES + other, other, other], abs=0.02)
    same = (watch.z == before).all(-1)
    assert same.float().mean().item() == pytest.approx(KEEPS, abs=0.02)
    assert (int(watch.left.min()), int(watch.left.max())) == (int(ALONE[0] * 30), int(ALONE[1] * 30) - 1), "of which a step is over"


def test_the_guard_acts_until_then_and_where_it_steps_in_characters_are_left_alone_at_times():
    env = Standing(4000, 2)
    watch = watching(env, clips=2, horizon=30, danger=[0.9, 0.1])
    watch.clip, watch.left, watch.alone = torch.arange(4000) % 2, torch.full((4000,), 100), torch.zeros(4000, dtype=torch.bool)
    watch.z = watch.learner.latents_for(watch.clip)
    asked = watch.z.clone()
    watch.act(1)
    assert watch.alone[::2].float().mean().item() == pytest.approx(0.15, abs=0.03)
    assert not watch.alone[1::2].any(), "nothing threatens"
    guarded = ~watch.alone
    obs = watch.learner.obs_normalizer(torch.cat((torch.arange(4000.0)[:, None], torch.zeros(4000, 1), torch.ones(4000, 1)), dim=-1))
    meant = watch.guard(obs, asked)[0]
    assert not torch.equal(meant, asked)
    torch.testing.assert_close(env.actions[0][guarded], watch.learner.policy(obs, meant)[guarded].detach())
    alone = watch.alone
    torch.testing.assert_close(env.actions[0][alone], watch.learner.policy(obs, watch.z)[alone].detach())


def test_who_has_been_alone_for_long_enough_is_asked_for_any_other():
    env = Standing(3000, 2)
    env.start_clip = torch.ones(3000, dtype=torch.long)
    watch = watching(env, clips=4, horizon=30)
    watch.left, watch.alone = torch.full((3000,), 2), torch.ones(3000, dtype=torch.bool)
    before = watch.z
    assert not len(watch.act(2)[0].obs), "two steps tell nothing of thirty"
    assert watch.alone.float().mean().item() == pytest.approx(AT_ONCE, abs=0.03)
    assert not (watch.z == before).all(-1).any()
    assert (watch.clip == 1).float().mean().item() == pytest.approx(1 / 4, abs=0.03), "only new episodes prefer the clip that they began on"


def test_a_time_limit_ends_what_can_be_known():
    watch = watching(Standing(2, 2, steps_left=2))
    watch.alone[:], watch.left[:] = True, 50
    assert not len(watch.act(6)[0].obs)


def lessons_of(mirrored, mirror, updates=100):
    learner = make_learner(Scripted(4, 2), tiny_config(latents=LATENTS), mirrored_clips=torch.tensor(mirrored))
    guard = Guard(learner.anchors, torch.zeros(len(mirrored), dtype=torch.bool), 2, mirror)
    return guard, Lessons(guard, updates, learner.generator)


def test_a_guard_learns_who_falls_under_which_latents():
    guard, lessons = lessons_of([-1, -1, -1], None)
    generator = torch.Generator().manual_seed(0)
    obs, clip = 4 * torch.rand(4000, 2, generator=generator) - 2, torch.randint(2, (4000,), generator=generator)
    seen = Moments(obs.half(), clip, torch.where(clip == 0, obs[:, 0] > 0, obs[:, 1] > 0))
    first = lessons.learn(seen, 1)
    assert first == pytest.approx(0.69, abs=0.03)
    assert lessons.learn(seen, 99) < 0.35
    danger = guard.danger(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
    assert danger[0, 0] > 0.9 > 0.1 > danger[0, 1]
    assert danger[1, 1] > 0.9 > 0.1 > danger[1, 0]
    assert lessons.optimizer.param_groups[0]["lr"] < 1e-5, "the step size has fallen to nothing"


def test_mirror_images_teach_the_guard_of_a_symmetric_policy():
    guard, lessons = lessons_of([1, 0, -1], MIRROR)
    assert lessons.image.tolist() == [1, 0, 2]
    obs = 4 * torch.rand(4000, 2, generator=torch.Generator().manual_seed(0)) - 2
    lessons.learn(Moments(obs.half(), torch.zeros(4000, dtype=torch.long), obs[:, 0] > 0), 100)
    danger = guard.danger(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
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


SHORT = GuardConfig(rounds=5, steps=60, updates=60, last_updates=100, horizon_s=4.0)


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


def test_runners_turn_back_at_the_ledge_and_run_elsewhere():
    env, learner = runner()
    made = []
    policy = {name: tensor.clone() for name, tensor in learner.policy.state_dict().items()}
    guard = learn_guard(env, learner, 1.0, SHORT, lambda *each: made.append(each))
    assert [each[0] for each in made] == [1, 2, 3, 4, 5]
    assert made[0][1] > 10, "many run over the ledge"
    assert made[-1][1] < 0.15 * made[0][1]
    assert made[-1][2] < 0.5 * made[0][2]
    assert all(torch.equal(tensor, policy[name]) for name, tensor in learner.policy.state_dict().items()), "the policy stays as it is"
    z = learner.latents_for(torch.tensor([0, 0, 1, 1]))
    obs = torch.tensor([[-0.9, 0.0], [0.95, 0.0], [-0.5, 0.0], [0.95, 0.0]])
    assert guard(obs, z)[1].tolist() == [False, True, False, False]
    assert learner.act(obs, z)[1, 0] > 0.6, "without the guard it runs on"
    learner.be_guarded(guard.state_dict(), "here")
    moves = learner.act(obs, z)[:, 0].tolist()
    assert moves[0] > 0.6, "where nothing threatens it does as it did"
    assert max(moves[1:]) < -0.6


def test_what_is_kept_was_taught_on_all_that_was_seen():
    """The critic that guards meanwhile learns next to nothing here."""
    env, learner = runner()
    guard = learn_guard(env, learner, 1.0, replace(SHORT, rounds=2, updates=1))
    z = learner.latents_for(torch.tensor([0, 0, 1, 1]))
    assert guard(torch.tensor([[-0.9, 0.0], [0.95, 0.0], [-0.5, 0.0], [0.95, 0.0]]), z)[1].tolist() == [False, True, False, False]


def test_a_guard_is_saved_with_its_margin_and_is_a_part_of_what_was_trained():
    env, learner = runner()
    assert "guard" not in learner.modules()
    guard = learn_guard(env, learner, 1.0, replace(SHORT, rounds=1, margin=0.3))
    saved = {name: tensor.clone() for name, tensor in guard.state_dict().items()}
    assert saved["margin"] == pytest.approx(0.3)
    assert not {"points", "floor"} & set(saved), "they are known from the clips"
    learner.be_guarded(saved, "here")
    assert learner.modules()["guard"] is learner.guard
    assert all(torch.equal(tensor, saved[name]) for name, tensor in learner.guard.state_dict().items())
    with pytest.raises(ValueError, match=r"^checkpoint here: tensor margin: missing; expected shape \(\)$"):
        learner.be_guarded({name: tensor for name, tensor in saved.items() if name != "margin"}, "here")


def test_latents_have_to_stand_for_clips():
    env = Standing(4, 2)
    with pytest.raises(
        ValueError, match=r"^guard: got skills whose latents stand for no clips; expected some trained with --train\.latents\.clip-share, such as preset locomotion$"
    ):
        learn_guard(env, make_learner(env, tiny_config(latents={"dim": 8})), 1.0, SHORT)


@pytest.mark.parametrize(("steps", "steps_left"), [(3, 1000), (60, 3)])
def test_a_horizon_that_nobody_sees_is_refused(steps, steps_left):
    env = Standing(4, 2, steps_left=steps_left)
    with pytest.raises(ValueError, match=r"^guard: horizon_s: got 4 = 4 control steps; expected at most 3, which a round and an episode last$"):
        learn_guard(env, skilled(env), 1.0, replace(SHORT, steps=steps))
