"""What the low-level loop stores, rewards and keeps, step by step, in environments in which everything is known in advance."""

import copy
import math

import pytest
import torch

from ase import checkpoint
from ase.collect import collect
from ase.losses import gaussian_log_prob
from ase.pretrain import pretrain
from ase.rollout import Rollout
from tests.ase.toys import PointMass, Scripted, all_windows, make_learner, still, tiny_config

HISTORY, STEPS = 3, 12
LATENTS = {"dim": 4, "min_hold_s": 5.0, "max_hold_s": 5.0}  # a hold is five steps of one second


class Collected:
    """One rollout of `Scripted`: environment 0 goes on, 1 fails in step 1, 2 is cut off in step 6, 3 both goes on and switches at other times."""

    def __init__(self, **ppo):
        self.env = Scripted(4, HISTORY, terminate={(1, 1)}, truncate={(6, 2)})
        self.learner = make_learner(self.env, tiny_config(ppo=ppo, latents=LATENTS))
        self.learner.latents.steps_left[3] = 2
        self.learner.obs_normalizer.update(5 * torch.randn(200, 3, generator=torch.Generator().manual_seed(1)) + 2)
        self.learner.return_normalizer.update(torch.tensor([[10.0], [30.0]]))
        with torch.no_grad():
            self.learner.value.mlp.output.weight.mul_(30)  # states worth clearly different values
        self.rollout = Rollout.empty(STEPS, 4, 3, 4, 2, self.env.window, torch.device("cpu"))
        self.last, self.counts = collect(self.env, self.learner, self.rollout, self.env.reset(), bf16=False)


def test_a_window_is_evidence_once_its_latent_has_filled_it():
    c = Collected()
    cycle = [False, False, True, True, True]  # a hold of five steps; the window holds three frames
    expected = {
        0: (cycle * 3)[:STEPS],
        1: [False, False, *cycle, *cycle],  # reset after step 1
        2: [*cycle, False, False, *cycle],  # reset after step 6
        3: [False, False, *cycle, *cycle],  # a hold that ended after two steps
    }
    for env, flags in expected.items():
        assert c.rollout.evidence[:, env].tolist() == flags[:STEPS], env


def test_evidence_windows_hold_frames_of_their_latent_only():
    c = Collected()
    frames_of = [[c.rollout.z[t, env].tolist() for t in range(STEPS)] for env in range(4)]
    for env in range(4):
        for t in range(STEPS):
            if c.rollout.evidence[t, env]:
                assert t >= HISTORY - 1
                assert all(z == frames_of[env][t] for z in frames_of[env][t - HISTORY + 1 : t + 1])
                seconds = all_windows(c.rollout.windows)[t, env, :, 1].diff()
                assert (seconds == 1).all(), "a window across a reset is no evidence"


def test_latents_change_at_the_end_of_a_hold_or_of_an_episode_and_nowhere_else():
    c = Collected()
    changes = (c.rollout.z[1:] != c.rollout.z[:-1]).any(-1)
    assert {env: changes[:, env].nonzero().flatten().tolist() for env in range(4)} == {0: [4, 9], 1: [1, 6], 2: [4, 6], 3: [1, 6]}
    assert torch.equal(c.learner.latents.z[0], c.rollout.z[-1, 0])
    assert not torch.equal(c.learner.latents.z[1], c.rollout.z[-1, 1]), "the switch after the last step counts for the next rollout"


def test_ended_episodes_are_reset_and_nothing_else_is():
    c = Collected()
    assert c.env.resets == [(0, [0, 1, 2, 3]), (2, [1]), (7, [2])]
    obs = c.rollout.obs
    assert obs[:, 0, 1].tolist() == list(range(STEPS))
    assert obs[:, 1, 1].tolist() == [0, 1, *range(10)]
    assert obs[:, 2, 1].tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4]
    assert obs[:, 1, 2].tolist() == [1, 1] + 10 * [2]
    assert c.last[:, 1].tolist() == [12, 10, 5, 12]
    assert c.rollout.terminated.nonzero().tolist() == [[1, 1]]
    assert c.rollout.truncated.nonzero().tolist() == [[6, 2]]


def test_windows_are_those_after_the_step_and_before_the_reset():
    c = Collected()
    assert all_windows(c.rollout.windows)[6, 2, :, 1].tolist() == [5, 6, 7]
    assert all_windows(c.rollout.windows)[1, 1, :, 2].tolist() == [1, 1, 1]
    assert all_windows(c.rollout.windows)[2, 1, :, 1].tolist() == [0, 0, 1]


def test_end_value_is_the_value_of_the_true_next_state_at_a_time_limit_only():
    c = Collected()
    assert c.rollout.end_value.nonzero().tolist() == [[6, 2]]
    true_next = torch.tensor([[2.0, 7.0, 1.0]])  # environment 2, seven steps after its first reset
    with torch.no_grad():
        normalised = c.learner.value(c.learner.obs_normalizer(true_next), c.rollout.z[6, 2].unsqueeze(0))
    assert c.rollout.end_value[6, 2].item() == pytest.approx(20 + 10 * normalised.item(), rel=1e-5)  # returns had mean 20, deviation 10


def test_counts_of_episodes():
    counts = Collected().counts
    assert counts["episode/mean_steps"] == 4 * STEPS / 2
    assert counts["episode/falls_per_1000_steps"] == pytest.approx(1000 / (4 * STEPS))
    assert counts["episode/fall_share"] == 0.5


def test_what_is_stored_is_what_was_done():
    c = Collected(action_std=0.3)
    assert torch.equal(c.rollout.action, torch.stack(c.env.actions))
    with torch.no_grad():
        mean = c.learner.act(c.rollout.flat("obs"), c.rollout.flat("z"))
    torch.testing.assert_close(c.rollout.flat("log_prob"), gaussian_log_prob(c.rollout.flat("action"), mean, 0.3))
    noise = c.rollout.flat("action") - mean
    assert c.rollout.stochastic.all()
    assert noise.std().item() == pytest.approx(0.3, rel=0.2)
    assert noise.mean().abs() < 0.1


def test_noise_free_holds_act_with_the_mean():
    c = Collected(deterministic_share=0.5, action_std=0.3)
    quiet = ~c.rollout.flat("stochastic")
    assert 0.2 < quiet.float().mean() < 0.8
    with torch.no_grad():
        distance = (c.rollout.flat("action") - c.learner.act(c.rollout.flat("obs"), c.rollout.flat("z"))).abs().amax(-1)
    assert (distance[quiet] < 1e-6).all()
    assert (distance[~quiet] > 1e-3).all()
    changed = (c.rollout.stochastic[1:] != c.rollout.stochastic[:-1]).nonzero().tolist()
    assert changed, "drawn anew for each hold"
    assert all((c.rollout.z[t, env] != c.rollout.z[t + 1, env]).any() for t, env in changed), "and for whole holds"


def metrics_of(env, learner, iterations=1, demos=None, obs=None):
    seen = []

    def on_iteration(metrics):
        seen.append(metrics)
        return len(seen) < iterations

    pretrain(env, demos or still(env.window[0], env.window[1]), learner, env.reset() if obs is None else obs, on_iteration)
    return seen


def test_rewards_are_weighted_and_skill_counts_only_with_evidence():
    env = Scripted(4, HISTORY)
    style = {"style_weight": 0.5, "skill_weight": 0.25, "style_scale": 2.0}
    learner = make_learner(env, tiny_config(ppo={"rollout_steps": 10}, style=style, latents=LATENTS))
    with torch.no_grad():
        learner.style.discriminator.mlp.output.weight.zero_()
        learner.style.encoder.mlp.output.weight.zero_()
        learner.style.encoder.mlp.output.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    first = learner.latents.z[:, 0].clone()
    metrics = metrics_of(env, learner)[0]
    second = learner.latents.z[:, 0]  # drawn after the last step, never acted
    assert not torch.equal(first, second)
    assert metrics["reward/style"] == pytest.approx(2 * math.log(2), rel=1e-5)
    assert 0 < metrics["reward/skill"] < 1
    # Six steps of each ten are evidence.
    assert metrics["reward/total"] == pytest.approx(1 + 0.5 * 2 * math.log(2) + 0.25 * 0.6 * metrics["reward/skill"], rel=1e-5)


def test_samples_and_iterations_are_counted_and_the_budget_ends_training():
    env = Scripted(4, HISTORY)
    learner = make_learner(env, tiny_config(ppo={"rollout_steps": 8}, latents=LATENTS, max_samples=90))
    metrics = metrics_of(env, learner, iterations=100)
    assert len(metrics) == 3
    assert learner.samples == 96
    assert learner.iteration == 3
    assert 0 < learner.seconds < 60


def test_minutes_end_training_and_earlier_parts_of_a_run_count():
    env = Scripted(4, HISTORY)
    learner = make_learner(env, tiny_config(ppo={"rollout_steps": 8}, latents=LATENTS, max_minutes=1.0))
    learner.seconds = 59.9999
    assert len(metrics_of(env, learner, iterations=100)) == 1


def test_the_caller_can_stop_training():
    env = Scripted(4, HISTORY)
    learner = make_learner(env, tiny_config(ppo={"rollout_steps": 8}, latents=LATENTS))
    assert len(metrics_of(env, learner, iterations=2)) == 2
    assert learner.iteration == 2


def test_one_environment_trains_even_while_it_acts_without_noise():
    env = Scripted(1, HISTORY, truncate={(20, 0)})
    learner = make_learner(env, tiny_config(ppo={"rollout_steps": 8, "deterministic_share": 1.0, "diversity_weight": 0.01}, latents=LATENTS))
    metrics = metrics_of(env, learner, iterations=4)
    assert all(math.isfinite(value) for key, value in metrics[-1].items() if key.startswith(("ppo/", "style/")))
    assert all(torch.isfinite(p).all() for p in learner.policy.parameters())


def untimed(metrics):
    """Metrics as text (so that nan equals nan, and everything else only bit for bit), without those that depend on the clock."""
    return {key: repr(value) for key, value in metrics.items() if not key.startswith("time/")}


RESUMABLE = {
    "ppo": {"rollout_steps": 6, "deterministic_share": 0.3, "diversity_weight": 0.1, "num_epochs": 2, "minibatch_size": 16},
    "style": {"style_weight": 0.5, "skill_weight": 0.5},
    "latents": {"dim": 3, "min_hold_s": 2.0, "max_hold_s": 7.0},
}


def test_a_saved_and_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    env = PointMass(8, seed=0, episode_steps=9)
    learner = make_learner(env, tiny_config(**RESUMABLE), seed=5)
    obs = env.reset()
    snapshot = {}
    seen = []

    def on_iteration(metrics):
        seen.append(metrics)
        if len(seen) == 3:
            checkpoint.save(tmp_path / "run", {"shared": learner.shared_state(), "own": learner.own_state()}, "training", {})
            snapshot["env"] = copy.deepcopy(env)
        return len(seen) < 6

    pretrain(env, still(2), learner, obs, on_iteration)
    assert seen[3]["episode/mean_steps"] < 100, "episodes must end for this to mean much"

    resumed_env = snapshot["env"]
    resumed = make_learner(resumed_env, tiny_config(**RESUMABLE), seed=77)
    saved, _ = checkpoint.load(tmp_path / "run", "training")
    resumed.load_shared_state(saved["shared"])
    resumed.load_own_state(saved["own"])
    assert resumed.iteration == 3
    assert resumed.samples == 3 * 6 * 8
    again = metrics_of(resumed_env, resumed, iterations=3, demos=still(2), obs=resumed_env.pos)
    for one, other in zip(seen[3:], again, strict=True):
        assert untimed(one) == untimed(other)
    for name, module in learner.modules().items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, resumed.modules()[name].state_dict()[key]), (name, key)
    assert torch.equal(learner.latents.z, resumed.latents.z)


def test_same_seed_same_run_and_another_seed_another():
    def losses(seed):
        env = PointMass(8, seed=0)
        return [untimed(m) for m in metrics_of(env, make_learner(env, tiny_config(**RESUMABLE), seed), 2)]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_the_mean_policy_moves_by_an_iterations_share_of_the_samples_it_is_over():
    env = PointMass(4, seed=0)
    learner = make_learner(env, tiny_config(ppo={"rollout_steps": 6, "average_samples": 96}))
    assert learner.trained()["policy"] is learner.policy, "nothing is trained yet"
    seen = []

    def told(metrics):
        seen.append((learner.policy.mlp.output.weight.detach().clone(), learner.trained()["policy"].mlp.output.weight.detach().clone()))
        return len(seen) < 3

    pretrain(env, still(env.history.shape[1]), learner, env.reset(), told)
    mean = seen[0][0]
    torch.testing.assert_close(seen[0][1], mean)
    for now, found in seen[1:]:
        mean = mean + 24 / 96 * (now - mean)
        torch.testing.assert_close(found, mean)
    assert not torch.allclose(seen[-1][0], mean)
    assert learner.modules()["policy"] is learner.policy, "which goes on to be trained"


def test_advantages_use_the_value_of_the_true_next_state(monkeypatch):
    """With λ = 0 an advantage is one step's error, so what it takes for the next value can be read off."""
    taken = []

    def spy(policy, value, policy_opt, value_opt, batch, *rest):
        taken.append(batch)
        return {}

    monkeypatch.setattr("ase.actor_critic.ppo_update", spy)
    env = Scripted(3, HISTORY, terminate={(2, 1)}, truncate={(4, 2)})
    latents = {"dim": 4, "min_hold_s": 3.0, "max_hold_s": 3.0}
    learner = make_learner(env, tiny_config(ppo={"rollout_steps": 6, "lam": 0.0, "discount": 0.5, "value_hidden": (64,)}, latents=latents))
    with torch.no_grad():
        learner.value.mlp.output.weight.mul_(30)  # states worth clearly different values
    known = 5 * torch.randn(200, 3, generator=torch.Generator().manual_seed(1)) + 2
    learner.obs_normalizer.update(known)
    metrics_of(env, learner)
    (batch,) = taken
    with torch.no_grad():
        value = learner.value(batch.obs, batch.z).view(6, 3)
        end = torch.tensor([[0.0, 6, 1], [1.0, 3, 2], [2.0, 1, 2], [2.0, 5, 1]])  # after the last step, and environment 2 at its time limit
        frozen = type(learner.obs_normalizer)(3)  # what the first iteration normalises with
        frozen.update(torch.cat((known, Scripted(3, HISTORY).reset())))
        end_value = learner.value(frozen(end), torch.cat((learner.latents.z, batch.z.view(6, 3, 4)[4, 2:])))
    next_value = torch.cat((value[1:], end_value[None, :3]))
    next_value[2, 1] = 0.0
    next_value[4, 2] = end_value[3]
    assert (value[5, 2] - end_value[3]).abs() > 0.05, "the state after the reset must be worth something else"
    torch.testing.assert_close(batch.advantage.view(6, 3), 1 + 0.5 * next_value - value, rtol=0, atol=1e-5)
    torch.testing.assert_close(learner.value(frozen(torch.tensor([[2.0, 1.0, 1.0]])), batch.z.view(6, 3, 4)[1, 2:])[0], value[1, 2])


def test_normalisers_learn_each_iterations_data_once():
    env = Scripted(4, HISTORY)
    learner = make_learner(env, tiny_config(ppo={"rollout_steps": 10, "num_epochs": 3}, latents=LATENTS))
    metrics_of(env, learner, iterations=2)
    assert learner.obs_normalizer.count == 4 + 2 * 40  # the first observations, then every step
    steps = torch.cat((torch.zeros(4), torch.arange(20).repeat(4).float()))
    assert learner.obs_normalizer.mean[1].item() == pytest.approx(steps.mean().item(), rel=1e-5)
    assert learner.obs_normalizer.var[1].item() == pytest.approx(steps.var(correction=0).item(), rel=1e-5)
    assert learner.style.normalizer.count == 64 * HISTORY + 2 * (4 + 4)  # as many frames of the clips as of the agent
