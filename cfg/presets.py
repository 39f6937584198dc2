"""Presets: functions that return a complete `RunConfig`. The command line overrides single fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ase.cloning import CloneConfig
from ase.coaching import CoachConfig
from ase.latents import LatentConfig
from ase.learner import PretrainConfig
from ase.ppo import PpoConfig
from ase.reading import ReadConfig
from ase.style import StyleConfig
from ase.task_train import TaskTrainConfig
from cfg.load import closest
from cfg.schema import RunConfig, TaskRunConfig
from envs.assist import AssistConfig
from envs.guided import GuideConfig
from envs.humanoid import EnvConfig
from envs.resets import StartMix
from envs.tasks import TASKS, TaskSettings
from envs.tasks.location import LocationConfig


def tiny() -> RunConfig:
    """Seconds on one core, for tests: it runs everything and learns nothing worth seeing."""
    small = (32, 16)
    return RunConfig(
        preset="tiny",
        dataset="walk",
        env=EnvConfig(num_envs=16, history=4, episode_length_s=1.0, num_threads=1, start=StartMix(clip=0.6, default=0.2, fallen=0.2, recovery=0.5)),
        train=PretrainConfig(
            max_samples=4 * 16 * 8,
            save_every_s=0.0,
            log_every=1,
            video_every_s=0.0,
            clone=CloneConfig(steps=2, batch_size=64, rehearse_weight=0.1, rehearse_samples=400, rehearse_batch=16),
            latents=LatentConfig(dim=4, min_hold_s=0.1, max_hold_s=0.5),
            ppo=PpoConfig(rollout_steps=8, num_epochs=1, minibatch_size=64, policy_hidden=small, value_hidden=small),
            read=ReadConfig(windows=32, seconds=0.5, updates=2),
            style=StyleConfig(disc_hidden=small, encoder_hidden=small, updates=1, batch_size=32, replay_size=256, replay_push=32),
        ),
        num_threads=1,
    )


def walk() -> RunConfig:
    """One clip, style only: a walking character in minutes on two cores."""
    return RunConfig(
        preset="walk",
        dataset="walk",
        env=EnvConfig(num_envs=1024, history=4, min_root_height_m=0.6, start=StartMix(clip=0.85, default=0.15), assist=AssistConfig(hold=1.0)),
        train=PretrainConfig(
            max_samples=5_000_000,
            max_minutes=20.0,
            video_every_s=0.0,
            clone=CloneConfig(steps=300, rehearse_weight=0.1, rehearse_samples=3_000_000),
            latents=LatentConfig(dim=0),
            ppo=PpoConfig(rollout_steps=8, num_epochs=2, minibatch_size=1366, action_std=0.05, policy_lr=1.5e-4, policy_lr_end=3e-5, value_lr=3e-4),
            style=StyleConfig(updates=2, batch_size=1024, judge_noise_free=True, skill_weight=0.0),
        ),
    )


def cloned() -> RunConfig:
    """Walking, running and turning with 16-dimensional skill latents, a cell of the sphere for each clip, from nothing in 25 minutes on two CPU cores; taught the clips' actions
    by inverse dynamics, for characters and clips that nobody can follow in simulation. Steps are shorter than those of `locomotion`."""
    return RunConfig(
        preset="cloned",
        dataset="locomotion",
        env=EnvConfig(
            num_envs=1024, history=6, episode_length_s=6.0, min_root_height_m=0.6, start=StartMix(clip=0.85, default=0.15, hard_share=0.8), assist=AssistConfig(hold=1.0)
        ),
        train=PretrainConfig(
            max_samples=13_000_000,
            max_minutes=55.0,
            imitation_weight=0.7,
            imitation_travel=(0.4, 0.15),
            clone=CloneConfig(steps=300, rehearse_weight=0.1, rehearse_samples=40_000_000),
            latents=LatentConfig(dim=16, min_hold_s=1.0, max_hold_s=5.0, clip_share=0.7, clip_focus=0.55, focus_from_samples=1_500_000, lost_below=0.5),
            ppo=PpoConfig(
                rollout_steps=8,
                num_epochs=2,
                minibatch_size=1366,
                action_std=0.05,
                policy_lr=2.4e-4,
                policy_lr_end=3e-5,
                average_samples=1_000_000,
                value_lr=3e-4,
                value_hidden=(256, 128),
            ),
            style=StyleConfig(
                updates=2,
                batch_size=1024,
                encoder_lr=3e-4,
                conditional=True,
                judge_noise_free=True,
                travel_share=0.4,
                style_weight=0.5,
                skill_weight=0.8,
                skill_weight_first=0.3,
                skill_ramp_samples=3_000_000,
            ),
        ),
    )


def locomotion() -> RunConfig:
    """What `cloned` learns, in the clips' own steps: motions that physics allows are found along the clips, or given (``--tracks ase/pretrained/moves``), experts that keep to
    them (`envs.lqr`) coach the policy for a few minutes before it acts for itself, and what they said is rehearsed while it does."""
    base = cloned()
    clone = CloneConfig(obs_noise=0.01, rehearse_weight=0.05, rehearse_samples=20_000_000)
    ppo = replace(base.train.ppo, action_std=0.04, policy_lr=1.4e-4, policy_lr_end=1.5e-5, average_samples=500_000)
    style = replace(base.train.style, skill_ramp_samples=0)
    read = ReadConfig(windows=400_000, updates=3000)
    train = replace(base.train, max_samples=8_000_000, imitation_wide=0.4, clone=clone, coach=CoachConfig(rounds=70, updates=200), ppo=ppo, style=style, read=read)
    guide = GuideConfig(refine_noises=(0.01,), nearness=10.0)  # walks need not be easy to keep to, but near
    return replace(base, preset="locomotion", env=replace(base.env, assist=AssistConfig()), train=train, guide=guide)


def agile() -> RunConfig:
    """What `locomotion` teaches, and standing, brisk walking and quicker turns, with latents that change quickly, as a controller changes them; how fast a clip travels
    and turns counts more than before, so that it gets to a run soon. Begins with trained skills: ``pretrain agile --skills ase/pretrained/getup``."""
    base = cloned()
    latents = replace(base.train.latents, min_hold_s=0.3, max_hold_s=4.0, focus_from_samples=0)
    ppo = replace(base.train.ppo, minibatch_size=2732, policy_lr=1e-4, policy_lr_end=2e-5)
    style = replace(base.train.style, style_weight=0.7, skill_weight=0.6, skill_ramp_samples=0)
    train = replace(base.train, max_samples=12_000_000, clone=CloneConfig(), latents=latents, ppo=ppo, style=style)
    env = replace(base.env, num_envs=2048, assist=AssistConfig())  # trained skills stand without being held
    return replace(base, preset="agile", dataset="agile", env=env, train=train)


def swift() -> RunConfig:
    """What `agile` knows, and turning on the spot, practised above all at changes: to a run, to a stop and about within a second, for going to places. Latents are held briefly,
    doing what their clips do counts more than looking like them, and each step towards it counts, however far away. Begins with trained skills:
    ``pretrain swift --skills ase/pretrained/push``."""
    base = agile()
    latents, style = replace(base.train.latents, max_hold_s=2.0), replace(base.train.style, style_weight=0.4)
    train = replace(base.train, max_samples=20_000_000, imitation_weight=1.0, imitation_travel=(0.4, 0.3), imitation_wide=0.5, latents=latents, style=style)
    return replace(base, preset="swift", dataset="swift", train=train)


def getup() -> RunConfig:
    """What `agile` knows, and getting up: a third of the episodes start fallen, under latents that fit how the character lies, and with help that is taken away as they succeed;
    many falls go on from where it lies. Begins with trained skills: ``pretrain getup --skills ase/pretrained/agile``."""
    base = cloned()
    start = StartMix(clip=0.6, default=0.05, fallen=0.35, recovery=0.5, hard_share=0.5, grace_s=4.0)
    env = replace(base.env, min_root_height_m=0.0, rise_weight=1.0, assist=AssistConfig(lift=0.9), start=start)
    style = replace(base.train.style, style_weight=0.7, skill_weight=0.3, skill_ramp_samples=0)
    latents, ppo = replace(agile().train.latents, fallen_hold_s=4.0), replace(base.train.ppo, policy_lr=1e-4, policy_lr_end=3e-5)
    train = replace(base.train, max_samples=15_000_000, imitation_weight=0.0, clone=CloneConfig(), latents=latents, ppo=ppo, style=style)
    return replace(base, preset="getup", dataset="getup", env=env, train=train)


def full() -> RunConfig:
    """Every clip: what `getup` knows, and jumps, kicks, a punch, dances, rolls, a crawl, a cartwheel and a backflip. Experts that keep to what physics allows of the clips
    (`envs.lqr`) coach the policy along them; then reinforcement goes on from there, for doing what they do and going the ways that they go (`ase.imitation`), in large iterations
    of steps small enough to keep it, and practises most what falls. Begins with trained skills: ``pretrain full --skills ase/pretrained/getup --tracks ase/pretrained/moves``."""
    base = cloned()
    start = StartMix(clip=0.88, default=0.15, fallen=0.08, recovery=0.3, hard_share=0.7, even_time=True, grace_s=4.0)
    latents = replace(base.train.latents, clip_share=0.35, min_hold_s=0.7, max_hold_s=6.0, focus_from_samples=0, hard_share=0.7, fallen_hold_s=4.0)
    clone = CloneConfig(obs_noise=0.02, rehearse_weight=0.008, rehearse_samples=50_000_000)
    style = replace(base.train.style, updates=3, batch_size=2048, replay_size=131_072, replay_push=4096, style_weight=0.3, skill_weight=0.1, skill_weight_first=0.1)
    ppo = replace(base.train.ppo, action_std=0.03, policy_lr=2e-5, policy_lr_end=3e-6, minibatch_size=8192, average_samples=4_000_000)
    train = replace(
        base.train,
        max_samples=220_000_000,
        max_minutes=0.0,
        imitation_weight=1.0,
        imitation_travel=(0.1, 0.01),
        imitation_stray_s=0.5,
        clone=clone,
        coach=CoachConfig(rounds=225, updates=600),
        latents=latents,
        ppo=ppo,
        style=style,
    )
    env = replace(base.env, num_envs=4096, episode_length_s=8.0, min_root_height_m=0.0, rise_weight=0.3, assist=AssistConfig(), start=start)
    return replace(base, preset="full", dataset="full", env=env, train=train)


def begin() -> RunConfig:
    """A specialist in beginning, from standing and walking, a few skills that are done so far only by who is started on their clips: most episodes begin on the way to one of them
    (`envs.approach`). Begins with trained skills, and teaches others then:
    ``pretrain begin --skills ase/pretrained/full``; ``pretrain full --skills RUN --teachers BEGUN=CLIP,CLIP RUN``."""
    base = full()
    start = StartMix(clip=0.9, default=0.1, hard_share=0.7, even_time=True, approach=0.8, grace_s=4.0)
    latents = replace(base.train.latents, clip_share=0.9)
    ppo = replace(base.train.ppo, policy_lr=7e-5, policy_lr_end=1.5e-5, minibatch_size=4096, average_samples=500_000)
    train = replace(
        base.train,
        max_samples=20_000_000,
        imitation_travel=(0.4, 0.15),
        imitation_stray_s=1.0,
        imitation_wide=0.4,
        clone=CloneConfig(),
        coach=CoachConfig(),
        latents=latents,
        ppo=ppo,
    )
    return replace(base, preset="begin", dataset="begin", env=replace(base.env, num_envs=2048, start=start), train=train)


PRESETS: dict[str, Callable[[], RunConfig]] = {f.__name__: f for f in (tiny, walk, cloned, locomotion, agile, swift, getup, full, begin)}


def preset(name: str) -> RunConfig:
    """The preset ``name``; raises ValueError with the choices."""
    if name not in PRESETS:
        raise ValueError(f"preset {name}: unknown.{closest(name, PRESETS)} Available: {', '.join(PRESETS)}")
    return PRESETS[name]()


SKILLED = {  # tasks with skills made for them: these, how long noise lasts, the discount, starts on clips; places and boxes are far away, and who begins running finds that it pays
    "location": ("swift", 0.9, 0.995, 0.2),
    "strike": ("push", 0.8, 0.995, 0.0),
    "reach": ("reaching", 0.7, 0.99, 0.0),
}


def task_preset(task: str, from_scratch: bool = False) -> TaskRunConfig:
    """Training of ``task``, sized for two CPU cores; raises ValueError with the choices."""
    if task not in TASKS:
        raise ValueError(f"task {task}: unknown.{closest(task, TASKS)} Available: {', '.join(TASKS)}")
    common = PpoConfig(rollout_steps=8, deterministic_share=0.0, value_lr=3e-4, diversity_weight=0.0, policy_lr_end=3e-5, discount=0.99)
    if from_scratch:  # what pretraining uses
        ppo = replace(common, num_epochs=2, minibatch_size=1366, action_std=0.05, policy_lr=1.2e-4)
        return TaskRunConfig(task=task, from_scratch=True, train=TaskTrainConfig(max_samples=60_000_000, max_minutes=120.0, ppo=ppo))
    ppo = replace(common, num_epochs=4, minibatch_size=1024, action_std=0.15, policy_lr=3e-4)
    first = TaskSettings(location=LocationConfig(first_samples=5_500_000))
    config = TaskRunConfig(task=task, num_envs=512, tasks=first, train=TaskTrainConfig(max_samples=8_000_000, max_minutes=30.0, ppo=ppo))
    if task not in SKILLED:
        return config
    skills, noise_memory, discount, clip = SKILLED[task]
    ppo = replace(ppo, minibatch_size=2048, action_std=0.2, noise_memory=noise_memory, discount=discount, average_samples=500_000)
    skill, train = replace(config.skill, hold_steps=3), replace(config.train, max_samples=24_000_000, ppo=ppo)
    return replace(config, skills=f"ase/pretrained/{skills}", num_envs=1024, start=StartMix(clip=clip, default=1 - clip), skill=skill, train=train)
