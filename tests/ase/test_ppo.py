"""The policy and value step."""

import copy

import pytest
import torch

from ase.cloning import Lesson, Rehearsal
from ase.losses import gaussian_log_prob
from ase.nets import Policy, Value
from ase.ppo import PpoBatch, PpoConfig, normalize_advantage, ppo_update

CONFIG = PpoConfig(num_epochs=1, minibatch_size=1000, diversity_weight=0.0, bound_weight=0.0, max_grad_norm=1e9)


class Setup:
    """A policy and value network and a batch of 60 samples that they acted, every third without noise."""

    def __init__(self, latent_dim: int = 3, rest: float = 0.0, lr: float = 1e-3):
        torch.manual_seed(0)
        self.policy, self.value = Policy(4, latent_dim, torch.full((2,), rest), (16,), 0.2), Value(4, latent_dim, (16,))
        self.policy_opt, self.value_opt = torch.optim.SGD(self.policy.parameters(), lr), torch.optim.SGD(self.value.parameters(), lr)
        obs, z = torch.randn(60, 4), torch.nn.functional.normalize(torch.randn(60, latent_dim), dim=-1)
        stochastic = torch.arange(60) % 3 > 0
        with torch.no_grad():
            mean = self.policy(obs, z)
            action = mean + 0.2 * torch.randn(60, 2) * stochastic.unsqueeze(-1)
            log_prob = gaussian_log_prob(action, mean, 0.2)
        self.batch = PpoBatch(obs, z, action, log_prob, stochastic, torch.randn(60) * 3 + 5, torch.randn(60))

    def update(self, config: PpoConfig = CONFIG, **changes) -> dict[str, float]:
        batch = PpoBatch(**{**vars(self.batch), **changes})
        return ppo_update(self.policy, self.value, self.policy_opt, self.value_opt, batch, config, torch.Generator().manual_seed(1), bf16=False)

    def weights(self) -> tuple[torch.Tensor, torch.Tensor]:
        return tuple(torch.nn.utils.parameters_to_vector(m.parameters()).detach().clone() for m in (self.policy, self.value))


def with_config(**changes) -> PpoConfig:
    return PpoConfig(**{**vars(CONFIG), **changes})


def test_advantages_are_normalised_over_the_masked_samples_alone():
    found = normalize_advantage(torch.tensor([1.0, 100.0, 3.0]), torch.tensor([True, False, True]))
    torch.testing.assert_close(found[[0, 2]], torch.tensor([-1.0, 1.0]) * 2**-0.5, rtol=1e-4, atol=0)
    assert found[1].item() == pytest.approx(98 / 2**0.5, rel=1e-4)


@pytest.mark.parametrize("chosen", [0, 1])
def test_advantages_of_too_few_samples_are_finite(chosen):
    mask = torch.arange(4) < chosen
    assert torch.isfinite(normalize_advantage(torch.tensor([1.0, 2.0, 3.0, 4.0]), mask)).all()


def test_a_first_step_starts_from_ratio_one():
    metrics = Setup().update()
    assert metrics["ppo/kl"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["ppo/clipped"] == 0.0
    assert metrics["ppo/surrogate"] == pytest.approx(0.0, abs=1e-5)  # minus the mean of normalised advantages


def test_actions_better_than_expected_become_likelier_and_worse_ones_less_so():
    setup = Setup(lr=1e-2)
    setup.update(with_config(num_epochs=3))
    with torch.no_grad():
        gain = gaussian_log_prob(setup.batch.action, setup.policy(setup.batch.obs, setup.batch.z), 0.2) - setup.batch.log_prob
    noisy = setup.batch.stochastic
    assert torch.corrcoef(torch.stack((gain[noisy], setup.batch.advantage[noisy])))[0, 1] > 0.2


def test_samples_without_noise_train_the_value_but_not_the_policy():
    one, other = Setup(), Setup()
    quiet = ~one.batch.stochastic
    one.update()
    other.update(
        advantage=torch.where(quiet, -77.0, one.batch.advantage),
        action=torch.where(quiet.unsqueeze(-1), 0.3, one.batch.action),
        target=torch.where(quiet, 9.0, one.batch.target),
    )
    assert torch.equal(one.weights()[0], other.weights()[0])
    assert not torch.equal(one.weights()[1], other.weights()[1])


def test_a_batch_entirely_without_noise_leaves_the_policy_and_does_no_harm():
    setup = Setup()
    before = setup.weights()[0]
    metrics = setup.update(stochastic=torch.zeros(60, dtype=torch.bool))
    assert torch.equal(setup.weights()[0], before)
    assert all(abs(number) < 1e9 for number in metrics.values())


def test_the_step_follows_the_mean_over_noisy_samples():
    """Doubling the share of noise-free samples must not shrink the policy's step."""
    one, other = Setup(), Setup()
    start = one.weights()[0]
    one.update()
    quiet = (~other.batch.stochastic).nonzero().squeeze(-1)
    more = {key: torch.cat((value, value[quiet], value[quiet])) for key, value in vars(other.batch).items()}
    other.update(**more)
    torch.testing.assert_close(one.weights()[0] - start, other.weights()[0] - start, rtol=1e-3, atol=1e-7)


def test_the_value_learns_its_target():
    setup = Setup()
    setup.value_opt = torch.optim.Adam(setup.value.parameters(), 1e-2)
    target = setup.batch.obs[:, 0] + setup.batch.z[:, 1]
    metrics = [setup.update(with_config(num_epochs=10), target=target) for _ in range(20)]
    assert metrics[-1]["ppo/value"] < 0.02 * metrics[0]["ppo/value"]


def test_the_bound_loss_pulls_means_back_inside():
    setup = Setup(rest=1.4, lr=3e-2)
    for _ in range(60):
        metrics = setup.update(with_config(bound_weight=1.0), advantage=torch.zeros(60))
    assert metrics["ppo/bound"] < 0.02
    with torch.no_grad():
        assert setup.policy(setup.batch.obs, setup.batch.z).max() < 1.2


def test_the_diversity_loss_makes_actions_depend_on_the_latent():
    config = with_config(diversity_weight=1.0, diversity_share=1.0, num_epochs=200)
    setup = Setup(lr=3e-2)
    setup.update(config, advantage=torch.zeros(60))
    z = torch.tensor([[1.0, 0.0, 0.0]]).expand(60, 3)
    with torch.no_grad():
        difference = (setup.policy(setup.batch.obs, z) - setup.policy(setup.batch.obs, -z)).square().mean()
    assert 0.3 < difference < 2.0  # 1 is the target for opposite latents; it began near 0


def test_diversity_is_off_without_latents():
    setup = Setup(latent_dim=0)
    assert setup.update(with_config(diversity_weight=1.0))["ppo/diversity"] == 0.0


def test_gradients_are_scaled_down_to_the_allowed_norm():
    setup = Setup(lr=1.0)
    policy, value = setup.weights()
    setup.update(with_config(max_grad_norm=0.01))
    moved = [(after - before).norm().item() for after, before in zip(setup.weights(), (policy, value), strict=True)]
    assert moved == pytest.approx([0.01, 0.01], rel=1e-3)


def test_clipping_keeps_the_policy_near_the_one_that_acted():
    def drift(clip: float) -> tuple[float, float]:
        setup = Setup(lr=0.1)
        share = setup.update(with_config(num_epochs=200, clip=clip))["ppo/clipped"]
        with torch.no_grad():
            log_ratio = gaussian_log_prob(setup.batch.action, setup.policy(setup.batch.obs, setup.batch.z), 0.2) - setup.batch.log_prob
        return log_ratio[setup.batch.stochastic].abs().mean().item(), share

    (near, clipped), (far, free) = drift(0.2), drift(1e9)
    assert near < 0.3 * far
    assert clipped > 0.2
    assert free == 0.0


def test_every_sample_is_seen_once_an_epoch():
    setup = Setup()
    seen = []
    setup.value.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    setup.update(with_config(num_epochs=2, minibatch_size=16))
    assert [len(obs) for obs in seen] == [16, 16, 16, 12] * 2
    for epoch in (torch.cat(seen[:4]), torch.cat(seen[4:])):
        torch.testing.assert_close(epoch[:, 0].sort().values, setup.batch.obs[:, 0].sort().values)
    assert not torch.equal(seen[0], seen[4]), "the order is drawn anew"


def test_same_seed_same_result():
    one, other = Setup(), Setup()
    config = with_config(num_epochs=3, minibatch_size=16, diversity_weight=0.1)
    assert copy.deepcopy(one.update(config)) == other.update(config)
    assert torch.equal(torch.cat(one.weights()), torch.cat(other.weights()))


def test_the_policys_step_size_falls_linearly_and_then_stays():
    config = PpoConfig(policy_lr=4e-4, policy_lr_end=1e-4)
    assert [config.policy_lr_at(p) for p in (0.0, 0.5, 1.0, 3.0)] == pytest.approx([4e-4, 2.5e-4, 1e-4, 1e-4])
    assert PpoConfig(policy_lr=4e-4).policy_lr_at(0.7) == 4e-4


def test_rehearsed_actions_become_more_likely_by_their_weight():
    """With advantages that are all alike nothing else moves the policy."""
    moved = []
    for weight in (0.0, 0.1, 0.2):
        setup = Setup()
        shown = Lesson(setup.batch.obs, setup.batch.z, torch.full((60, 2), 0.7))
        before = setup.policy(shown.obs, shown.z).detach()
        batch = PpoBatch(**{**vars(setup.batch), "advantage": torch.ones(60)})
        metrics = ppo_update(setup.policy, setup.value, setup.policy_opt, setup.value_opt, batch, CONFIG, torch.Generator(), False, Rehearsal(weight, lambda shown=shown: shown))
        assert metrics["ppo/forgotten"] == pytest.approx(((before - 0.7) ** 2).sum(-1).mean().item() / (2 * 0.2**2), rel=1e-4)
        moved.append((setup.policy(shown.obs, shown.z) - before).mean().item())
    assert moved[0] == pytest.approx(0.0, abs=1e-6)
    assert moved[1] > 1e-3
    assert moved[2] == pytest.approx(2 * moved[1], rel=0.1)
