"""Checkpoint files: what is read is what was written, and a bad file is refused by name."""

import json
import os

import pytest
import torch
from safetensors.torch import save_file

from ase import checkpoint
from ase.nets import Policy

TREE = {
    "modules": {"policy": {"mlp.output.weight": torch.arange(6.0).view(2, 3)}},
    "empty": torch.zeros(4, 0),
    "count": torch.tensor(7, dtype=torch.long),
    "flags": torch.tensor([True, False]),
    "generator": torch.arange(5, dtype=torch.uint8),
    "half": torch.ones(2, dtype=torch.float16),
    "exact": torch.tensor([1 / 3], dtype=torch.float64),
}


def same(a, b):
    flat_a, flat_b = checkpoint.flatten(a), checkpoint.flatten(b)
    return flat_a.keys() == flat_b.keys() and all(torch.equal(value, flat_b[key]) and value.dtype == flat_b[key].dtype for key, value in flat_a.items())


def test_round_trip(tmp_path):
    path = tmp_path / "new folder" / "a.safetensors"
    checkpoint.save(path, TREE, "training", {"step": 3, "name": "gehen – 歩く"})
    tree, info = checkpoint.load(path, "training")
    assert same(tree, TREE)
    assert tree["modules"]["policy"].keys() == {"mlp.output.weight"}
    assert info == {"step": 3, "name": "gehen – 歩く"}
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"], "no temporary file stays behind"


def test_views_and_shared_memory_are_saved_by_value(tmp_path):
    base = torch.arange(12.0).view(3, 4)
    checkpoint.save(tmp_path / "a", {"t": base.t(), "part": base[1:, :2], "again": base}, "k", {})
    tree, _ = checkpoint.load(tmp_path / "a", "k")
    assert torch.equal(tree["t"], base.t())
    assert torch.equal(tree["part"], base[1:, :2])
    assert torch.equal(tree["again"], base)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"checkpoint .*nowhere\.safetensors: not found"):
        checkpoint.load(tmp_path / "nowhere.safetensors", "training")


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, TREE, "training", {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"checkpoint .*a\.safetensors: damaged or no safetensors file"):
        checkpoint.load(path, "training")


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, TREE, "skills", {})
    with pytest.raises(ValueError, match=r"kind: got skills of format 1; expected training of format 1"):
        checkpoint.load(path, "training")


def test_a_foreign_or_newer_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.ones(1)}, path)
    with pytest.raises(ValueError, match=r"kind: got none of format none; expected training of format 1"):
        checkpoint.load(path, "training")
    save_file({"x": torch.ones(1)}, path, metadata={"format": "2", "kind": "training", "info": json.dumps({})})
    with pytest.raises(ValueError, match=r"got training of format 2"):
        checkpoint.load(path, "training")


def policy(hidden=(8,)):
    torch.manual_seed(0)
    return Policy(5, 2, torch.zeros(3), hidden, 0.1)


def test_a_module_gets_its_tensors_back():
    own, other = policy(), policy()
    saved = {key: torch.randn_like(value) for key, value in own.state_dict().items()}
    checkpoint.load_module(own, saved, "run/policy")
    assert all(torch.equal(value, saved[key]) for key, value in own.state_dict().items())
    assert not same(own.state_dict(), other.state_dict())


def test_a_tensor_of_another_shape_is_refused_with_both_shapes_and_nothing_is_loaded():
    own = policy()
    before = {key: value.clone() for key, value in own.state_dict().items()}
    with pytest.raises(ValueError, match=r"checkpoint run/policy: tensor mlp\.hidden\.0\.weight: got shape \(9, 7\); expected \(8, 7\)"):
        checkpoint.load_module(own, policy((9,)).state_dict(), "run/policy")
    assert same(own.state_dict(), before)


def test_a_missing_tensor_is_refused():
    saved = dict(policy().state_dict())
    del saved["mlp.output.bias"]
    with pytest.raises(ValueError, match=r"tensor mlp\.output\.bias: missing; expected shape \(3,\)"):
        checkpoint.load_module(policy(), saved, "x")


def test_an_unexpected_tensor_is_refused():
    saved = policy().state_dict() | {"mlp.hidden.7.weight": torch.ones(1)}
    with pytest.raises(ValueError, match=r"tensor mlp\.hidden\.7\.weight: unexpected\. Available: .*mlp\.output\.bias"):
        checkpoint.load_module(policy(), saved, "x")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"checkpoint .*file/a: cannot be written"):
        checkpoint.save(tmp_path / "file" / "a", TREE, "training", {})


@pytest.mark.parametrize("target", ["ase.checkpoint.save_file", "ase.checkpoint.os.fsync", "ase.checkpoint.os.replace"])
def test_a_kill_while_writing_leaves_the_old_file_and_the_next_save_cleans_up(tmp_path, monkeypatch, target):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, TREE, "training", {"step": 1})

    def killed(*args, **kwargs):
        if target.endswith("save_file"):
            args[1].write_bytes(b"half a file")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(target, killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(path, {"x": torch.zeros(3)}, "training", {"step": 2})
    tree, info = checkpoint.load(path, "training")
    assert same(tree, TREE)
    assert info == {"step": 1}
    stale = [p for p in tmp_path.iterdir() if p != path]
    assert len(stale) == 1
    stale[0].rename(tmp_path / ".a.safetensors.99999999.tmp")  # of a process that is gone
    (tmp_path / ".b.safetensors.99999999.tmp").write_bytes(b"of another file")
    checkpoint.save(path, TREE, "training", {"step": 3})
    assert sorted(p.name for p in tmp_path.iterdir()) == [".b.safetensors.99999999.tmp", "a.safetensors"]
    assert checkpoint.load(path, "training")[1] == {"step": 3}


def test_a_full_disk_is_reported_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, TREE, "training", {"step": 1})

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ValueError, match=r"cannot be written.*No space left"):
        checkpoint.save(path, {"x": torch.zeros(3)}, "training", {"step": 2})
    assert checkpoint.load(path, "training")[1] == {"step": 1}


def test_flatten_and_unflatten_are_inverse():
    tree = {"a": {"b": {"c.d": torch.ones(1)}, "e": torch.zeros(2)}, "f": torch.ones(3)}
    assert set(checkpoint.flatten(tree)) == {"a/b/c.d", "a/e", "f"}
    assert same(checkpoint.unflatten(checkpoint.flatten(tree)), tree)
