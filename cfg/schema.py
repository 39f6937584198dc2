"""`RunConfig` and `TaskRunConfig`: everything that defines a training. Each part is declared beside the component it configures."""

from __future__ import annotations

from dataclasses import dataclass, field

from ase.learner import PretrainConfig
from ase.task_train import TaskTrainConfig
from envs.engines import DEVICES, ENGINES
from envs.guided import GuideConfig
from envs.humanoid import EnvConfig
from envs.resets import StartMix
from envs.samcon import SamconConfig
from envs.skill_env import SkillEnvConfig
from envs.tasks import TASKS, TaskSettings


def require(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises ValueError unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{name}: got {value!r}; expected {', '.join(allowed)}")


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
        env: environment. train: learning. samcon: how clips are followed in simulation (with ``train.coach.rounds``). guide: how characters follow
            them while they are coached.
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
    samcon: SamconConfig = field(default_factory=SamconConfig)
    guide: GuideConfig = field(default_factory=GuideConfig)

    def __post_init__(self) -> None:
        require("device", self.device, DEVICES)
        require("physics", self.physics, ENGINES)


@dataclass(frozen=True)
class TaskRunConfig:
    """A high-level training run: a task, and the skills that it is solved with.

    Attributes:
        task: what is asked of the character.
        skills: folder of trained skills; their settings say which character acts, at which rates.
        from_scratch: without skills: the policy's actions are joint targets, the reward is the task's alone.
        clips_dir: folder of the ``.npz`` clips, if not that of the skills.
        num_envs, episode_length_s, start: as in `EnvConfig`.
        seed, device, physics, num_threads: as in `RunConfig`.
        skill: how latents are acted. tasks: settings of each task. train: learning.
    """

    task: str = "heading"
    skills: str = "ase/pretrained/agile"
    from_scratch: bool = False
    clips_dir: str = ""
    num_envs: int = 1024
    episode_length_s: float = 10.0
    start: StartMix = field(default_factory=lambda: StartMix(clip=0.5, default=0.5))
    seed: int = 0
    device: str = "auto"
    physics: str = "auto"
    num_threads: int = 0
    skill: SkillEnvConfig = field(default_factory=SkillEnvConfig)
    tasks: TaskSettings = field(default_factory=TaskSettings)
    train: TaskTrainConfig = field(default_factory=TaskTrainConfig)

    def __post_init__(self) -> None:
        require("device", self.device, DEVICES)
        require("physics", self.physics, ENGINES)
        require("task", self.task, TASKS)
