"""`RunConfig`: everything that defines a training run. Each part is declared beside the component it configures."""

from __future__ import annotations

from dataclasses import dataclass, field

from ase.learner import PretrainConfig
from envs.engines import DEVICES, ENGINES
from envs.humanoid import EnvConfig


@dataclass(frozen=True)
class RunConfig:
    """A low-level training run.

    Attributes:
        preset: the preset this started from.
        dataset: name in ``cfg/datasets`` or path of a dataset YAML. clips_dir: folder of the ``.npz`` clips.
        seed: of everything random.
        device: ``cpu``, ``cuda``, or ``auto``: a GPU if there is one.
        physics: engine: ``cpu`` (batched MuJoCo), ``warp`` (MuJoCo Warp), or ``auto``: warp on a GPU, else cpu.
        num_threads: CPU threads of torch; 0 shares the cores among this machine's processes. (Physics has its own: ``env.num_threads``.)
        env: environment. train: learning.
    """

    preset: str = ""
    dataset: str = "locomotion"
    clips_dir: str = "clips"
    seed: int = 0
    device: str = "auto"
    physics: str = "auto"
    num_threads: int = 0
    env: EnvConfig = field(default_factory=EnvConfig)
    train: PretrainConfig = field(default_factory=PretrainConfig)

    def __post_init__(self) -> None:
        for name, value, allowed in (("device", self.device, DEVICES), ("physics", self.physics, ENGINES)):
            if value not in allowed:
                raise ValueError(f"{name}: got {value!r}; expected {', '.join(allowed)}")
