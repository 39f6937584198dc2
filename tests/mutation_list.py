"""One-line bugs, each of which must turn the suite red; `tests.mutations` tries them."""

from __future__ import annotations

from tests import mutations_ase, mutations_envs, mutations_motions, mutations_taught

MUTATIONS = [*mutations_ase.MUTATIONS, *mutations_taught.MUTATIONS, *mutations_envs.MUTATIONS, *mutations_motions.MUTATIONS]
