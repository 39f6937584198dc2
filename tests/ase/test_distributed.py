"""Two processes train as one: the same weights everywhere, statistics of all data, and files that go on."""

import json
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from ase.descent import Descent
from ase.distributed import agree, average, average_numbers, gather, own_seed, rank, world_size
from ase.normalizer import Normalizer
from ase.off_policy import OffPolicyConfig
from ase.ppo import normalize_advantage
from ase.pretrain import pretrain
from ase.run_folder import RunFolder
from tests.ase.toys import PointMass, make_learner, still, tiny_config

CONFIG = {
    "ppo": {"rollout_steps": 6, "deterministic_share": 0.3, "diversity_weight": 0.1, "num_epochs": 2, "minibatch_size": 16},
    "style": {"style_weight": 0.5, "skill_weight": 0.5},
    "latents": {"dim": 3, "min_hold_s": 1.0, "max_hold_s": 3.0},
}
DATA = torch.randn(12, 3, generator=torch.Generator().manual_seed(0)) * 3 + 1
MASK = torch.tensor([1, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1], dtype=torch.bool)
PARTS = (slice(0, 5), slice(5, 12))  # ranks with different amounts of data


class SavedPointMass(PointMass):
    """A point mass that can be saved."""

    def state_dict(self):
        return {"pos": self.pos.clone(), "history": self.history.clone(), "age": self.age.clone(), "generator": self.generator.get_state()}

    def load_state_dict(self, saved):
        self.pos, self.history, self.age = (saved[k].clone() for k in ("pos", "history", "age"))
        self.generator.set_state(saved["generator"])
        return self.pos


def new_training(num_envs, **more):
    env = SavedPointMass(num_envs, seed=own_seed(0), episode_steps=9)
    return env, make_learner(env, tiny_config(**CONFIG, **more), seed=5)


def train(env, learner, obs, iterations):
    seen = []
    pretrain(env, still(2), learner, obs, lambda metrics: seen.append(metrics) or len(seen) < iterations)
    return seen, env.pos


def weights(learner):
    return torch.cat([tensor.double().flatten() for module in learner.modules().values() for tensor in module.state_dict().values()])


def losses(metrics):
    return [{key: repr(value) for key, value in m.items() if not key.startswith("time/")} for m in metrics]


def work(number, folder):
    """What each of two processes does; results go to a file for the tests to look at."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": folder.rpartition(":")[2], "RANK": str(number), "WORLD_SIZE": "2"}
    folder = folder.rpartition(":")[0]
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    mine = DATA[PARTS[number]]
    normalizer = Normalizer(3)
    for rows in (mine[:2], mine[2:]):
        normalizer.update(rows)
    layer = torch.nn.Linear(1, 1, bias=False)
    before = float(layer.weight)
    descent = Descent(torch.optim.SGD(layer.parameters(), lr=1.0))
    descent.start(layer(torch.tensor([[2.0 + 4 * number]])).sum())
    assert float(layer.weight) == before
    descent.finish()
    descent.finish()  # has ended already
    found = {
        "rank": rank(),
        "world": world_size(),
        "mean": normalizer.mean.tolist(),
        "var": normalizer.var.tolist(),
        "count": float(normalizer.count),
        "advantage": normalize_advantage(mine[:, 0], MASK[PARTS[number]]).tolist(),
        "gradient": float(layer.weight.grad),
        "descended": before - float(layer.weight),
        "average": float(average(torch.tensor(float(number)))),
        "numbers": average_numbers({"a": number + 1.0, "b": float("nan") if number else 7.0}),
        "gather": [float(x) for x in gather(torch.tensor(10.0 + number))],
        "agree": [agree(True, torch.device("cpu")), agree(number == 0, torch.device("cpu"))],
    }
    env, learner = new_training(4)
    first, obs = train(env, learner, env.reset(), 2)
    run = RunFolder(folder_path(folder), {"a": 1})
    run.save(learner, env)
    more, _ = train(env, learner, obs, 2)
    found |= {"samples": learner.samples, "weights": weights(learner).tolist(), "pos": env.pos.tolist(), "losses": losses(first + more)}
    dist.barrier()
    env, learner = new_training(4)
    obs = run.resume(learner, env)
    again, _ = train(env, learner, obs, 2)
    found["resumed"] = losses(again)
    found["resumed_pos"] = env.pos.tolist()
    env, learner = new_training(4, off_policy=OffPolicyConfig(updates=2, batch_size=16, strip=2, stored_steps=40, alone_samples=0, critic_hidden=(8,)))
    learner.learn_off_policy()
    train(env, learner, env.reset(), 3)
    found["off_policy"] = [*weights(learner).tolist(), *torch.cat([x.flatten() for x in learner.off_policy.critic.state_dict().values()]).tolist()]
    with open(f"{folder}/found{number}.json", "w") as file:
        json.dump(found, file)
    dist.barrier()
    dist.destroy_process_group()


def folder_path(folder):
    from pathlib import Path

    return Path(folder) / "run"


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What both processes found, and the folder of their run."""
    import socket

    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(work, args=(f"{folder}:{port}",), nprocs=2)
    return [json.loads((folder / f"found{k}.json").read_text()) for k in range(2)], folder


def test_normalisers_hold_the_statistics_of_all_ranks_data(ranks):
    for found in ranks[0]:
        assert found["count"] == 12
        torch.testing.assert_close(torch.tensor(found["mean"]), DATA.mean(0), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(torch.tensor(found["var"]), DATA.var(0, correction=0), rtol=1e-5, atol=1e-6)
    assert ranks[0][0]["mean"] == ranks[0][1]["mean"]


def test_advantages_are_normalised_over_all_ranks(ranks):
    expected = normalize_advantage(DATA[:, 0], MASK)
    torch.testing.assert_close(torch.tensor(ranks[0][0]["advantage"] + ranks[0][1]["advantage"]), expected, rtol=1e-5, atol=1e-6)


def test_small_messages(ranks):
    for number, found in enumerate(ranks[0]):
        assert (found["rank"], found["world"]) == (number, 2)
        assert found["gradient"] == 4.0  # the mean of 2 and 6
        assert found["descended"] == pytest.approx(4.0)
        assert found["average"] == 0.5
        assert found["numbers"] == {"a": 1.5, "b": 7.0}
        assert found["gather"] == [10.0, 11.0]
        assert found["agree"] == [True, False]


def test_ranks_stay_equal_where_they_should_and_differ_where_they_should(ranks):
    one, other = ranks[0]
    assert one["weights"] == other["weights"]
    assert one["off_policy"] == other["off_policy"]
    assert one["losses"] == other["losses"]
    assert one["pos"] != other["pos"], "environments are seeded by rank"
    assert one["samples"] == 4 * 2 * 4 * 6


def test_a_run_goes_on_bit_for_bit_on_as_many_ranks(ranks):
    for found in ranks[0]:
        assert found["resumed"] == found["losses"][2:]
        assert found["resumed_pos"] == found["pos"]


@pytest.mark.parametrize("num_envs", [4, 8])
def test_a_run_of_two_ranks_goes_on_on_one(ranks, num_envs):
    env, learner = new_training(num_envs)
    obs = RunFolder(folder_path(str(ranks[1])), {}).resume(learner, env)
    assert learner.samples == 2 * 2 * 4 * 6
    assert learner.iteration == 2
    metrics, _ = train(env, learner, obs, 1)
    assert learner.samples == 2 * 2 * 4 * 6 + num_envs * 6
    assert all(value == value for key, value in metrics[0].items() if key.startswith(("ppo/", "style/")))


def test_alone_nothing_is_exchanged():
    x = torch.tensor([1.0, 2.0])
    assert average(x) is x
    assert gather(x) == [x]
    assert average_numbers({"a": 1.0}) == {"a": 1.0}
    assert agree(True, x.device)
    assert not agree(False, x.device)
    assert (rank(), world_size(), own_seed(7)) == (0, 1, 7)
