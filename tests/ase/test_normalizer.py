"""Running statistics."""

import torch

from ase.normalizer import Normalizer


def batches(seed=0):
    generator = torch.Generator().manual_seed(seed)
    scale, shift = torch.tensor([1.0, 20.0, 0.05]), torch.tensor([0.0, 300.0, -2.0])
    return [torch.randn(n, 3, generator=generator) * scale * (i + 1) + shift * (i - 1) for i, n in enumerate((5, 64, 17, 1))]


def test_merging_batches_gives_the_statistics_of_all_data_together():
    normalizer = Normalizer(3)
    for batch in batches():
        normalizer.update(batch)
    data = torch.cat(batches()).double()
    torch.testing.assert_close(normalizer.mean, data.mean(0))
    torch.testing.assert_close(normalizer.var, data.var(0, correction=0))
    assert normalizer.count == len(data)


def test_leading_dimensions_are_all_batch():
    flat, shaped = Normalizer(3), Normalizer(3)
    x = torch.randn(24, 3, generator=torch.Generator().manual_seed(1))
    flat.update(x)
    shaped.update(x.view(2, 3, 4, 3))
    torch.testing.assert_close(flat.var, shaped.var)
    assert shaped(x.view(2, 3, 4, 3)).shape == (2, 3, 4, 3)


def test_result_has_mean_zero_and_deviation_one():
    normalizer = Normalizer(3)
    data = torch.cat(batches())
    normalizer.update(data)
    y = normalizer(data)
    assert y.dtype == torch.float32
    assert (y.abs() < 5).all()
    torch.testing.assert_close(y.mean(0), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(y.std(0, correction=0), torch.ones(3), rtol=1e-4, atol=0)


def test_statistics_change_only_in_update():
    normalizer = Normalizer(3)
    normalizer.update(batches()[0])
    before = {key: value.clone() for key, value in normalizer.state_dict().items()}
    normalizer.train()
    first = normalizer(batches()[1])
    assert torch.equal(normalizer(batches()[1]), first)
    assert all(torch.equal(value, before[key]) for key, value in normalizer.state_dict().items())


def test_results_are_clipped_and_a_constant_feature_stays_finite():
    normalizer = Normalizer(2, limit=3.0)
    normalizer.update(torch.tensor([[0.0, 7.0], [2.0, 7.0]]))
    assert normalizer(torch.tensor([[1.0, 7.0], [100.0, 7.0], [-100.0, 8.0]])).tolist() == [[0.0, 0.0], [3.0, 0.0], [-3.0, 3.0]]


def test_inverse_undoes_the_normalisation_within_the_limit():
    normalizer = Normalizer(3)
    data = torch.cat(batches())
    normalizer.update(data)
    torch.testing.assert_close(normalizer.inverse(normalizer(data)), data, rtol=1e-4, atol=1e-4)


def test_a_fresh_normalizer_changes_nothing():
    x = torch.tensor([[0.5, -2.0]])
    assert torch.equal(Normalizer(2)(x), x)
