"""One-line bugs, each of which must turn the suite red; `tests.mutations` tries them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """``original``, a text that occurs once in ``file``, becomes ``mutated``; ``tests`` are pytest's arguments, separated by spaces."""

    file: str
    original: str
    mutated: str
    tests: str

    def __str__(self) -> str:
        return f"{self.file}: {self.original}  ->  {self.mutated}"


LOSSES = "tests/ase/test_losses.py"
MIRROR = "tests/envs/test_mirror.py"
METRICS = "tests/ase/test_metrics.py"
RETURNS = "tests/ase/test_returns.py"
REWARDS = "tests/ase/test_rewards.py"
LATENTS = "tests/ase/test_latents.py"
NORMALIZER = "tests/ase/test_normalizer.py"
REPLAY = "tests/ase/test_replay.py"
NETS = "tests/ase/test_nets.py"
PPO = "tests/ase/test_ppo.py"
STYLE = "tests/ase/test_style.py tests/ase/test_conditional_style.py"
STRIKE = "tests/envs/test_strike.py"
THROWS = "tests/envs/test_throws.py"
CMU_AMC = "tests/envs/test_cmu_amc.py"
ADOPT = "tests/envs/test_adopt.py"
ANCHORS = "tests/ase/test_anchors.py"
PRETRAIN = "tests/ase/test_pretrain.py"
FIRST = "tests/ase/test_first_latents.py"
CHECKPOINT = "tests/ase/test_checkpoint.py"
STATE = "tests/envs/test_state.py"
FEATURES = "tests/envs/test_features.py"
RESETS = "tests/envs/test_resets.py"
ENV = "tests/envs/test_env.py tests/envs/test_env_ends.py"
FALLS = "tests/envs/test_falls.py"
PHYSICS = "tests/envs/test_physics.py"
TASKS = "tests/envs/test_tasks.py"
SKILL_ENV = "tests/envs/test_skill_env.py"
PLAY = "tests/envs/test_play.py"
PUSHES = "tests/envs/test_pushes.py"
ROBUSTNESS = "tests/ase/test_robustness.py"
TASK_TRAIN = "tests/ase/test_task_train.py"
CHARACTER = "tests/envs/test_character.py"
ROTATIONS = "tests/motions/test_rotations.py"
LIBRARY = "tests/motions/test_library.py"
PRACTICE = "tests/ase/test_practice.py"
SMOOTH = "tests/motions/test_smooth.py"
BY_CLIP = "tests/ase/test_by_clip.py"
ASSIST = "tests/envs/test_assist.py"
QUALITY = "tests/envs/test_quality.py"
SETS = "tests/ase/test_motion_sets.py"
TRANSITIONS = "tests/ase/test_transitions.py"
EVALUATE = "tests/ase/test_evaluate.py"
CONVERGENCE = "tests/ase/test_convergence.py"
CONFIDENCE = "tests/ase/test_confidence.py"
COMPARE = "tests/test_compare.py"
SKILL_SEARCH = "tests/ase/test_skill_search.py"
PAGE = "tests/test_page.py"
BVH = "tests/motions/test_bvh.py"
ASFAMC = "tests/motions/test_asfamc.py"
GLTF = "tests/motions/test_gltf.py"
KEYPOINTS = "tests/motions/test_keypoints.py"
SMPL = "tests/motions/test_smpl.py"
MIMICKIT = "tests/motions/test_mimickit.py"
ROBOTS = "tests/motions/test_robots.py"
POSELIB = "tests/motions/test_poselib.py"
DEEPMIMIC = "tests/motions/test_deepmimic.py"
RETARGET = "tests/motions/test_retarget.py"
MATCH = "tests/motions/test_match.py"
IK = "tests/motions/test_ik.py"
CONTACTS = "tests/motions/test_contacts.py"
MEASURES = "tests/motions/test_measures.py"
AUTO_DATASET = "tests/motions/test_auto_dataset.py"
SKELETON_MAP = "tests/motions/test_skeleton_map.py"
DATASET = "tests/motions/test_dataset.py"
SYNTHETIC = "tests/motions/test_synthetic.py"

MUTATIONS = [
    # Losses
    Mutation("ase/losses.py", "z.square().sum(-1) - action.shape[-1]", "z.square().sum(-1) + action.shape[-1]", LOSSES),
    Mutation("ase/losses.py", "math.log(2 * math.pi)", "math.log(math.pi)", LOSSES),
    Mutation("ase/losses.py", "-torch.minimum(", "-torch.maximum(", LOSSES),
    Mutation("ase/losses.py", "ratio.clamp(1 - clip, 1 + clip)", "ratio.clamp(1 - clip, 1 + 2 * clip)", LOSSES),
    Mutation("ase/losses.py", "(log_prob - old_log_prob).exp()", "(old_log_prob - log_prob).exp()", LOSSES),
    Mutation("ase/losses.py", "(mean.abs() - 1.0)", "(mean - 1.0)", LOSSES),
    Mutation("ase/losses.py", "F.softplus(-demo_logit)", "F.softplus(demo_logit)", LOSSES),
    Mutation("ase/losses.py", "F.softplus(agent_logit)", "F.softplus(-agent_logit)", LOSSES),
    Mutation("ase/losses.py", "create_graph=True", "create_graph=False, retain_graph=True", LOSSES),
    Mutation("ase/losses.py", "gradient.flatten(1).square().sum(-1).mean()", "gradient.flatten(1).square().mean()", LOSSES),
    Mutation("ase/losses.py", "return -(predicted * latent)", "return (predicted * latent)", LOSSES),
    Mutation("ase/losses.py", "0.5 - 0.5 * (latent_a", "0.5 + 0.5 * (latent_a", LOSSES),
    Mutation("ase/losses.py", "mean_a.clamp(-1, 1)", "mean_a", LOSSES),
    # Returns
    Mutation("ase/returns.py", "(~terminated).to", "(~(terminated | truncated)).to", RETURNS),
    Mutation("ase/returns.py", "(~(terminated | truncated)).to", "(~terminated).to", RETURNS),
    Mutation("ase/returns.py", "discount * alive * next_value", "discount * next_value", RETURNS),
    Mutation("ase/returns.py", "discount * lam * goes_on[t]", "discount * goes_on[t]", RETURNS),
    # Rewards
    Mutation("ase/rewards.py", "F.softplus(logit)", "F.softplus(-logit)", REWARDS),
    Mutation("ase/rewards.py", "MIN_FAKE_PROB = 1e-4", "MIN_FAKE_PROB = 1e-3", REWARDS),
    Mutation("ase/rewards.py", ".sum(-1).clamp_min(0.0)", ".sum(-1)", REWARDS),
    # Latents
    Mutation("ase/latents.py", "F.normalize(torch.randn(", "F.normalize(torch.rand(", LATENTS),
    Mutation("ase/latents.py", "self._high + 1", "self._high", LATENTS),
    Mutation("ase/latents.py", "self.age[env_ids] = 0", "self.age[env_ids] = 1", LATENTS),
    Mutation("ase/latents.py", "self.steps_left <= 0", "self.steps_left <= 1", LATENTS),
    # Normalizer
    Mutation("ase/normalizer.py", "self.count * n / total) / total", "self.count * n / total * 0) / total", NORMALIZER),
    Mutation("ase/normalizer.py", "self.mean += delta * n / total", "self.mean += delta * n / (total + 1)", NORMALIZER),
    Mutation("ase/normalizer.py", ".clamp(-self.limit, self.limit)", ".clamp_max(self.limit)", NORMALIZER),
    Mutation("ase/normalizer.py", "y * self.std + ", "y * self.var.float() + ", NORMALIZER),
    # Replay
    Mutation("ase/replay.py", "frames[-capacity:], valid[-capacity:]", "frames[:capacity], valid[:capacity]", REPLAY),
    Mutation("ase/replay.py", "torch.randint(len(self), (n,)", "torch.randint(max(1, len(self) // 2), (n,)", REPLAY),
    Mutation("ase/replay.py", "self._next = (self._next + len(frames))", "self._next = len(frames)", REPLAY),
    # Networks
    Mutation("ase/nets.py", "torch.autocast(x.device.type, enabled=False)", "torch.autocast(x.device.type, torch.bfloat16, enabled=torch.is_autocast_enabled('cpu'))", NETS),
    Mutation("ase/nets.py", "F.normalize(self.mlp(window), dim=-1)", "self.mlp(window)", NETS),
    # PPO
    Mutation("ase/ppo.py", "chosen = torch.where(mask, advantage, 0.0)", "chosen = advantage", PPO),
    Mutation("ase/ppo.py", "weight = mask / mask.sum().clamp_min(1.0)", "weight = torch.ones_like(mask) / len(mask)", PPO),
    Mutation("ase/ppo.py", "weight = mask / mask.sum().clamp_min(1.0)", "weight = mask / len(mask)", PPO),
    Mutation("ase/ppo.py", "policy_loss = surrogate + config", "policy_loss = -surrogate + config", PPO),
    Mutation("ase/ppo.py", "policy_loss + config.diversity_weight", "policy_loss - config.diversity_weight", PPO),
    Mutation("ase/ppo.py", "module.parameters(), config.max_grad_norm)", "module.parameters(), 1e9)", PPO),
    # Pre-training
    Mutation("ase/nets.py", "mean.tanh() if self.squash else mean", "mean", TASK_TRAIN),
    Mutation("ase/nets.py", "torch.zeros_like(rest_action) if squash else rest_action", "rest_action", TASK_TRAIN),
    Mutation("ase/style.py", "for k in range(len(self.pace))]).amax(0)", "for k in range(len(self.pace))]).amin(0)", STYLE),
    Mutation(
        "ase/style.py",
        "agent_clips = None if agent_clips is None else torch.cat((agent_clips, past_clips))",
        "agent_clips = style.clips_of(z[pick(pool, config.batch_size)])",
        STYLE,
    ),
    Mutation(
        "ase/style.py",
        "style.replay.push_from(windows, judged, config.replay_push, generator, clips)",
        "style.replay.push_from(windows, judged, config.replay_push, generator)",
        STYLE,
    ),
    Mutation("ase/actor_critic.py", "rollout.terminated.numel() * steps_each * world_size()", "rollout.terminated.numel() * world_size()", TASK_TRAIN),
    Mutation("ase/evaluate_task.py", "alive &= ~step.terminated", "alive &= ~step.truncated", TASK_TRAIN),
    Mutation("ase/evaluate_task.py", "(steps * steps_each)", "steps", TASK_TRAIN),
    Mutation("envs/resets.py", "(1 - hard + hard * self.failure)", "(1 - hard + hard * (1 - self.failure))", RESETS),
    Mutation("envs/resets.py", "keep = (1 - FORGET) ** count", "keep = (1 - FORGET) * count", RESETS),
    Mutation("envs/resets.py", 'self.failure = saved["failure"].to', 'self.failure = saved["drawn_for"].to', RESETS),
    Mutation("envs/humanoid.py", "self.fallen[ids] & soon", "soon", RESETS),
    Mutation("envs/humanoid.py", "soon = -self.grace_steps[ids] <=", "soon = self.grace_steps[ids] <=", RESETS),
    Mutation("ase/metrics.py", "held.float().argmax(0) * dt", "held.float().argmax(0)", ROBUSTNESS),
    Mutation("ase/robustness.py", "recovery(stood[:, upright], dt, HOLD_S)", "recovery(stood, dt, HOLD_S)", ROBUSTNESS),
    Mutation("envs/pushes.py", "self.left -= active.long()", "self.left -= 2 * active.long()", PUSHES),
    Mutation("envs/pushes.py", "torch.where(active.unsqueeze(-1), self.force, 0.0)", "self.force", PUSHES),
    Mutation("envs/pushes.py", "newtons * angle.sin(), torch", "newtons * angle.cos(), torch", PUSHES),
    Mutation("envs/physics_cpu.py", "qpos, qvel, 0.0", "qpos, qvel, self.force[env_ids]", PUSHES),
    Mutation("envs/humanoid.py", "return high & ~(", "return high | ~(", PUSHES),
    Mutation("envs/tasks/base.py", "yaw_quat(-heading(state.root_quat))", "yaw_quat(heading(state.root_quat))", TASKS),
    Mutation("envs/tasks/base.py", "(yaw.cos(), yaw.sin())", "(yaw.cos(), -yaw.sin())", TASKS),
    Mutation("envs/tasks/base.py", "self.steps_left -= 1", "self.steps_left[0] -= 1", TASKS),
    Mutation("envs/tasks/heading.py", "direction).norm(dim=-1)  # a length", "direction).sum(dim=-1)  # a length", TASKS),
    Mutation("envs/tasks/heading.py", "torch.where(along > 0, go, 0.0)", "go", TASKS),
    Mutation("envs/tasks/heading.py", "(speed - along)", "(speed + along)", TASKS),
    Mutation("envs/tasks/heading.py", "(faces * target_facing).sum(-1).clamp_min(0.0)", "(faces * target_facing).sum(-1)", TASKS),
    Mutation("envs/tasks/location.py", "gap = target - pos", "gap = pos - target", TASKS),
    Mutation("envs/tasks/location.py", "near = distance < NEAR_M", "near = distance.square() < NEAR_M", TASKS),
    Mutation("envs/tasks/location.py", "(speed_m_s - along).clamp_min(0.0)", "(speed_m_s - along)", TASKS),
    Mutation("envs/tasks/location.py", "in_heading(state, self.target - state.root_pos[:, :2])", "in_heading(state, state.root_pos[:, :2] - self.target)", TASKS),
    Mutation("envs/tasks/reach.py", "in_heading(state, self.target - ground)", "in_heading(state, self.target)", TASKS),
    Mutation("envs/tasks/reach.py", "torch.exp(-4 *", "torch.exp(-2 *", TASKS),
    Mutation("envs/task_env.py", "torch.where(failed, 0.0, self.task.reward(state))", "self.task.reward(state)", SKILL_ENV),
    Mutation("envs/task_env.py", "torch.where(self.over, 0.0, reward)", "reward", SKILL_ENV),
    Mutation("envs/task_env.py", "self.met += closed & there", "self.met += closed", SKILL_ENV),
    Mutation("envs/skill_env.py", "weight * torch.where(alive, step.reward, 0.0)", "weight * step.reward", SKILL_ENV),
    Mutation("envs/skill_env.py", "truncated |= alive & step.truncated", "truncated |= alive & step.terminated", SKILL_ENV),
    Mutation("envs/skill_env.py", "F.normalize(action.clamp(-1.0, 1.0), dim=-1)", "action.clamp(-1.0, 1.0)", SKILL_ENV),
    Mutation("envs/skill_env.py", "self.discount**self.config.hold_steps", "self.discount", SKILL_ENV),
    Mutation("envs/skill_env.py", "reward / sum(weights)", "reward / len(weights)", SKILL_ENV),
    Mutation("envs/play.py", "{LEFT: TURN, RIGHT: -TURN}", "{LEFT: -TURN, RIGHT: TURN}", PLAY),
    Mutation("ase/collect.py", "learner.latents.age >= history", "learner.latents.age >= history - 1", PRETRAIN),
    Mutation("ase/collect.py", "learner.obs_normalizer(step.obs[ended])", "learner.obs_normalizer(obs[ended])", PRETRAIN),
    Mutation("ase/collect.py", "mean + noise * stochastic.unsqueeze(-1)", "mean + noise", PRETRAIN),
    Mutation("ase/collect.py", "switch = torch.cat((switch, ids)).unique()", "switch = switch.unique()", PRETRAIN),
    Mutation("ase/actor_critic.py", "next_value = torch.where(rollout.truncated, rollout.end_value, next_value)", "next_value = next_value.clone()", PRETRAIN),
    Mutation("ase/actor_critic.py", "rollout.terminated, rollout.truncated, self", "rollout.truncated, rollout.terminated, self", PRETRAIN),
    Mutation("ase/pretrain.py", "skill = torch.where(evidence, skill, 0.0)", "skill = skill.clone()", PRETRAIN),
    # Style
    Mutation("ase/style.py", "evidence.nonzero()", "torch.ones_like(evidence).nonzero()", STYLE),
    Mutation("ase/style.py", "+ flatness * penalty", "- 1e-3 * penalty", STYLE),
    Mutation("ase/style.py", "clean if config.judge_noise_free", "~clean if config.judge_noise_free", STYLE),
    # Checkpoints
    Mutation("ase/checkpoint.py", "save_file(tensors, temporary", "save_file(tensors, path", CHECKPOINT),
    Mutation("ase/checkpoint.py", "stale.unlink()", "stale.exists()", CHECKPOINT),
    Mutation("ase/checkpoint.py", "saved[key].shape != tensor.shape", "saved[key].dim() != tensor.dim()", CHECKPOINT),
    # Character
    Mutation("envs/character.py", "min(1.2 * high, math.pi)", "min(1.0 * high, math.pi)", CHARACTER),
    Mutation("envs/character.py", "0.7 * (high - low)", "0.5 * (high - low)", CHARACTER),
    Mutation("envs/assets/humanoid.xml", 'name="left_hip_y" joint="left_hip" gear="0 1 0"', 'name="left_hip_y" joint="left_hip" gear="0 -1 0"', CHARACTER),
    # State
    Mutation("envs/state.py", "root_ang_vel=quat_rotate(root_quat, v[3:6].t())", "root_ang_vel=v[3:6].t()", STATE),
    Mutation("envs/state.py", "ang_vel = quat_rotate_inverse(state.root_quat, state.root_ang_vel)", "ang_vel = state.root_ang_vel", STATE),
    Mutation("envs/state.py", "= twist_angle(state", "= -twist_angle(state", STATE),
    # Features
    Mutation("envs/features.py", "cos * v[1] - sin * v[0]", "cos * v[1] + sin * v[0]", FEATURES),
    Mutation("envs/features.py", "root[:, (0, 2)]", "root[:, (0, 1)]", FEATURES),
    Mutation("envs/features.py", "local(bodies[:, 1:] - bodies[:, :1])", "local(bodies[:, 1:])", FEATURES),
    Mutation("envs/features.py", "local(state.root_lin_vel.reshape(n, 3).t())", "state.root_lin_vel.reshape(n, 3).t()", FEATURES),
    Mutation("envs/features.py", "3 * (character.key_bodies - 1)", "3 * character.key_bodies", FEATURES),
    # Resets and windows
    Mutation("envs/resets.py", "times_s.unsqueeze(-1) - back", "times_s.unsqueeze(-1) + back", RESETS),
    Mutation("envs/resets.py", "torch.arange(history - 1, -1, -1", "torch.arange(history, 0, -1", RESETS),
    Mutation("envs/resets.py", "qpos[torch.isfinite(qpos).all(-1)]", "qpos[torch.isfinite(qpos).any(-1)]", RESETS),
    Mutation("envs/resets.py", "2] < heights).any(-1)", "2] < heights).all(-1)", RESETS),
    Mutation("envs/demos.py", "n - (history - 1) * subdivisions", "n - history * subdivisions", RESETS),
    # Environment
    Mutation("envs/humanoid.py", "(touching & low).any(-1)", "(touching.any(-1) & low.any(-1))", FALLS),
    Mutation("envs/humanoid.py", "(self.grace_steps <= 0)", "(self.grace_steps <= 1)", FALLS),
    Mutation("envs/humanoid.py", "(self.episode_step >= self.config.episode_steps)", "(self.episode_step > self.config.episode_steps)", ENV),
    Mutation("envs/humanoid.py", "self.config.episode_steps) & ~terminated", "self.config.episode_steps)", ENV),
    Mutation("envs/humanoid.py", "self._offset + self._scale * action.clamp(-1.0, 1.0)", "self._offset + self._scale * action", ENV),
    Mutation("envs/resets.py", "(self.history - 1) * self.control_dt, self.clip_weights", "0.0, self.clip_weights", ENV),
    Mutation("envs/resets.py", "self._low_heights), self.grace, 0)", "self._low_heights), 0, self.grace)", FALLS),
    Mutation("envs/resets.py", "self._next += len(part)", "self._next += 0", RESETS),
    Mutation("envs/resets.py", "torch.randperm(n, generator=self.generator, device=self.library.device)", "torch.arange(n)", RESETS),
    Mutation("envs/humanoid.py", "stay = self.fallen[ids] & (", "stay = (", FALLS),
    Mutation("envs/humanoid.py", "self.episode_step[ids] = 0", "self.episode_step[:] = 0", ENV),
    Mutation("envs/humanoid.py", "self.history = self.history.index_copy(0, ids, starts.history)", "self.history[ids] = starts.history", ENV),
    Mutation("envs/humanoid.py", "self.device).clone())", "self.device))", ENV),
    Mutation("envs/humanoid.py", "            self.physics.set_state(ids, standing.qpos, standing.qvel)\n", "", ENV),
    # Physics
    Mutation("envs/physics_cpu.py", "self._batch.reset(ids)", "len(ids)", PHYSICS),
    Mutation("envs/physics_cpu.py", "self._batch.forward(ids)", "len(ids)", PHYSICS),
    Mutation("envs/physics_cpu.py", "        self._batch.forward()\n", "", PHYSICS),
    Mutation("envs/physics_cpu.py", "torch.from_numpy(self._state.copy())", "torch.from_numpy(self._state)", PHYSICS),
    # Rotations
    Mutation("motions/rotations.py", "aw * bx + ax * bw + ay * bz - az * by", "aw * bx + ax * bw - ay * bz + az * by", ROTATIONS),
    Mutation("motions/rotations.py", "2.0 * torch.atan2(sin, w)", "torch.atan2(sin, w)", ROTATIONS),
    Mutation("motions/rotations.py", "torch.atan2(2 * (x * y + w * z)", "torch.atan2(2 * (x * y - w * z)", ROTATIONS),
    Mutation("motions/rotations.py", "xy - wz, xz + wy", "xy + wz, xz + wy", ROTATIONS),
    # Library
    Mutation("motions/library.py", "quat_mul(root_quat[after], quat_conj(root_quat[before]))", "quat_mul(quat_conj(root_quat[before]), root_quat[after])", LIBRARY),
    Mutation("motions/library.py", "quat_mul(quat_conj(joint_quat[before]), joint_quat[after])", "quat_mul(joint_quat[after], quat_conj(joint_quat[before]))", LIBRARY),
    Mutation("motions/library.py", "quat_rotate(turn, lin_vel), ", "lin_vel, ", LIBRARY),
    Mutation("motions/library.py", "(min_time_s + span * torch", "(span * torch", LIBRARY),
    # Symmetry and measures
    Mutation("ase/symmetry.py", "z[:, :1].abs()", "z[:, :1]", MIRROR),
    Mutation("ase/symmetry.py", "action[..., self.action_index]", "action[..., :]", MIRROR),
    Mutation("envs/mirror.py", "[-1.0, 1.0, -1.0]", "[-1.0, 1.0, 1.0]", MIRROR),
    Mutation("envs/mirror.py", "members.index(partner[k])", "members.index(k)", MIRROR),
    Mutation("ase/metrics.py", "pose[1:, :, 2] - pose[:-1, :, 2]", "pose[:-1, :, 2] - pose[1:, :, 2]", METRICS),
    Mutation("ase/metrics.py", "/ (k * dt)", "/ dt", METRICS),
    Mutation("ase/metrics.py", "keepdim=True) < own", "keepdim=True) > own", METRICS),
    Mutation("ase/metrics.py", "total.argmin(1), found", "total.argmax(1), found", METRICS),
    Mutation("ase/windows.py", "(self._age >= self.window[0] - 1)", "(self._age >= self.window[0])", "tests/ase/test_windows.py"),
    Mutation("ase/windows.py", "* (h - 1) + (h - 1) - missing", "* (h - 1) + (h - 1) - missing + 1", "tests/ase/test_windows.py"),
    Mutation("ase/windows.py", "self._next_age[env_ids] = 0", "self._next_age[env_ids] = 1", "tests/ase/test_windows.py"),
    Mutation("ase/replay.py", "log.contiguous & wanted", "log.contiguous | wanted", "tests/ase/test_replay.py"),
    Mutation("ase/distributed.py", "return total.div_(world_size())", "return total", "tests/ase/test_distributed.py"),
    Mutation("ase/descent.py", "(loss / world_size()).backward()", "loss.backward()", "tests/ase/test_distributed.py"),
    Mutation("ase/run_folder.py", 'learner.load_own_state(own["own"]["learner"])', "pass", "tests/ase/test_distributed.py"),
    Mutation("ase/ppo.py", "(self.policy_lr_end - self.policy_lr) * min(progress, 1.0)", "(self.policy_lr_end - self.policy_lr) * progress", PPO),
    Mutation("ase/learner.py", "fallen = clip_ids == FALLEN", "fallen = clip_ids < 0", FIRST),
    Mutation("ase/anchors.py", "points[old_names.index(name)]", "points[k % len(points)]", FIRST),
    Mutation("ase/robustness.py", "torch.where(self._env.standing, 0,", "torch.where(~self._env.standing, 0,", "tests/ase/test_robustness.py"),
    Mutation("ase/robustness.py", "self._env.fallen & (self._left <= 0)", "self._env.fallen", "tests/ase/test_robustness.py"),
    Mutation("envs/humanoid.py", "(1 + up) / 2", "(1 - up) / 2", "tests/envs/test_falls.py"),
    Mutation("envs/humanoid.py", "torch.where(self.grace_steps > 0, self", "torch.where(self.grace_steps >= 0, self", "tests/envs/test_falls.py"),
    Mutation("ase/nets.py", "mean = (here + self.mirror.action(there)) / 2", "mean = (here + there) / 2", MIRROR),
    Mutation("ase/nets.py", "return (here + there) / 2", "return here", MIRROR),
    Mutation("envs/tasks/heading.py", "(1.0, -1.0, 1.0, 1.0, -1.0)", "(1.0, 1.0, 1.0, 1.0, 1.0)", MIRROR),
    Mutation("envs/tasks/strike.py", "(*POLAR, *POLAR, *POLAR, *POLAR, *AXIAL)", "(*POLAR, *POLAR, *POLAR, *POLAR, *POLAR)", MIRROR),
    Mutation("cfg/task_wiring.py", "flip[0] = -1.0", "flip[1] = -1.0", MIRROR),
    Mutation("envs/humanoid.py", "stride * torch.randint(self.config.episode_steps // stride", "stride * torch.randint(self.config.episode_steps", ENV),
    Mutation("ase/learner.py", "(draw < config.recognized_share)", "(draw > config.recognized_share)", FIRST),
    Mutation("ase/learner.py", "(draw >= 1 - config.clip_share)", "(draw >= config.clip_share)", FIRST),
    Mutation("ase/anchors.py", "torch.where(clips == first, SIDE, -SIDE)", "torch.where(clips == first, SIDE, SIDE)", "tests/ase/test_anchors.py"),
    Mutation("ase/style.py", "config.anchor_weight * anchored", "-config.anchor_weight * anchored", STYLE),
    Mutation("ase/style.py", "samples >= self.skill_ramp_samples", "samples <= self.skill_ramp_samples", STYLE),
    # Practice, pace, smoothing, clips by their latents
    Mutation("ase/practice.py", "torch.arange(len(style), 0, -1, device=style.device)", "torch.arange(1, len(style) + 1, device=style.device)", PRACTICE),
    Mutation("ase/practice.py", "torch.exp(-self._decay * held)", "torch.exp(self._decay * -held / 2)", PRACTICE),
    Mutation("ase/practice.py", ".clamp_max(1.0), self.level)", ", self.level)", PRACTICE),
    Mutation("ase/practice.py", "self.active & (self.level < self.lost_below)", "self.active & (self.level > self.lost_below)", PRACTICE),
    Mutation("ase/practice.py", "self.active & (self.level < self.lost_below)", "self.level < self.lost_below", PRACTICE),
    Mutation("ase/learner.py", "        self.practice.end(env_ids)\n", "", PRACTICE),
    Mutation("ase/learner.py", "env_ids[chosen][self._looping[clip_ids[chosen]]]", "env_ids[chosen]", PRACTICE),
    Mutation("ase/pretrain.py", "rollout.terminated[-1] |= lost", "rollout.terminated[0] |= lost", PRACTICE),
    Mutation("ase/pretrain.py", "    env.fail(env_ids)\n", "", PRACTICE),
    Mutation("ase/style.py", "self.config.style_scale), self.config.travel_share)", "self.config.style_scale), 1 - self.config.travel_share)", STYLE),
    Mutation("ase/style.py", "* window[1] + travel_columns", "* window[1] + 0 * travel_columns", STYLE),
    Mutation("ase/style.py", "demo[:, style.travel_ids], demo_told", "agent[:, style.travel_ids], demo_told", STYLE),
    Mutation("ase/style.py", '"lr": config.travel_lr', '"lr": config.disc_lr', STYLE),
    Mutation("ase/style.py", "x / self.pace[clips].unsqueeze(-1)", "x * self.pace[clips].unsqueeze(-1)", STYLE),
    Mutation("ase/style.py", "(speed / speed.median()).clamp_min(1.0)", "(speed / speed.median())", STYLE),
    Mutation("ase/style.py", ".diff(dim=1).square()", ".square()", STYLE),
    Mutation("ase/style.py", "style.in_pace(style.see(demo_windows), asked) + noise", "style.see(demo_windows) + noise", STYLE),
    Mutation("ase/style.py", "style.in_pace(style.see(agent_windows), agent_clips) + noise", "style.see(agent_windows) + noise", STYLE),
    Mutation("envs/tasks/strike.py", "up < FALLEN, 1.0, 0.6 * (1 - up)", "up > FALLEN, 1.0, 0.6 * (1 - up)", STRIKE),
    Mutation("envs/tasks/strike.py", "0.6 * (1 - up)", "0.6 * (1 + up)", STRIKE),
    Mutation("envs/tasks/strike.py", "gap = target - pos", "gap = pos - target", STRIKE),
    Mutation("envs/tasks/strike.py", "& self._forbidden", "& ~self._forbidden", STRIKE),
    Mutation("envs/tasks/strike.py", "yaw_quat(-heading(state.root_quat))", "yaw_quat(heading(state.root_quat))", STRIKE),
    Mutation("envs/tasks/strike.py", "quat_rotate(self.box.quat, self.box.ang_vel_b)", "self.box.ang_vel_b", STRIKE),
    Mutation("envs/tasks/strike.py", ".any(-1) & (self.up >= FALLEN)", ".any(-1)", STRIKE),
    Mutation("envs/task_env.py", "step.terminated | self.task.failed(state)", "step.terminated", STRIKE),
    Mutation("envs/props.py", "qvel[:, -6:] = pos, quat, 0.0", "qvel[:, -6:] = pos, quat, 1.0", STRIKE),
    Mutation("envs/props.py", "touch[:, -self._num_bodies :] > 0", "touch[:, : self._num_bodies] > 0", STRIKE),
    Mutation("envs/throws.py", "- speed.unsqueeze(-1) * way", "+ speed.unsqueeze(-1) * way", THROWS),
    Mutation("envs/throws.py", "0.5 * GRAVITY", "-0.5 * GRAVITY", THROWS),
    Mutation("envs/throws.py", "velocity = state.root_lin_vel[env_ids]", "velocity = 0 * state.root_lin_vel[env_ids]", THROWS),
    Mutation("envs/throws.py", "self.wait -= 1", "self.wait -= 2", THROWS),
    Mutation("ase/robustness.py", "stood[:, upright]", "stood", "tests/ase/test_robustness.py"),
    Mutation("envs/adopt.py", "np.cross(rows[1], rows[0])", "np.cross(rows[0], rows[1])", ADOPT),
    Mutation("envs/adopt.py", "(model.body_ipos[body] - anchor)", "(model.body_ipos[body] + anchor)", ADOPT),
    Mutation("envs/adopt.py", "frame @ inertial.reshape(3, 3)", "inertial.reshape(3, 3)", ADOPT),
    Mutation("envs/adopt.py", "strength + FAST_RAD_S *", "strength - FAST_RAD_S *", ADOPT),
    Mutation("envs/adopt.py", "    return -low", "    return low", ADOPT),
    Mutation("envs/mirror.py", "else [turn])", "else [1.0])", ADOPT),
    Mutation("envs/mirror.py", "torch.tensor(axis) * torch.tensor(AXIAL)", "torch.tensor(axis) * torch.tensor(POLAR)", ADOPT),
    Mutation("ase/anchors.py", "self.focus * self.points[clip_ids] + (1 - self.focus)", "(1 - self.focus) * self.points[clip_ids] + self.focus", ANCHORS),
    Mutation("ase/latents.py", "samples >= self.focus_from_samples", "samples < self.focus_from_samples", "tests/ase/test_pretrain.py"),
    Mutation("ase/learner.py", "self.anchors.draw(n, generator=generator) if", "sample_latents(n, self.config.latents.dim, generator) if", "tests/ase/test_pretrain.py"),
    Mutation("ase/ppo.py", "z[torch.randperm(len(z), generator=generator, device=device)[part]]", "z[part]", "tests/ase/test_ppo.py"),
    Mutation("motions/dataset.py", "if entry.ground else clip", "if not entry.ground else clip", "tests/motions/test_dataset.py"),
    Mutation("envs/humanoid.py", "(qvel.abs().amax() < MAX_SPEED)", "(qvel.amax() < MAX_SPEED)", ENV),
    Mutation("motions/smooth.py", "for k in (-1, 0, 1)]", "for k in (0, 0, 0)]", SMOOTH),
    Mutation("motions/smooth.py", "root_pos - offset if cycles < 0", "root_pos + offset if cycles < 0", SMOOTH),
    Mutation("motions/smooth.py", "moved + offset if cycles > 0", "moved - offset if cycles > 0", SMOOTH),
    Mutation("motions/smooth.py", "torch.tensor(cycles * yaw", "torch.tensor(-cycles * yaw", SMOOTH),
    Mutation("motions/smooth.py", "sigma_s * clip.fps", "sigma_s / clip.fps", SMOOTH),
    Mutation("motions/smooth.py", "slice(n, 2 * n + 1)", "slice(n + 1, 2 * n + 2)", SMOOTH),
    Mutation("motions/smooth.py", "make_continuous(turns), make_continuous(joints)", "turns, joints", SMOOTH),
    Mutation("ase/rollout.py", "alive & ~step.terminated", "alive", BY_CLIP),
    Mutation("ase/by_clip.py", "round(1.0 / control_dt), None", "None, None", BY_CLIP),
    Mutation("ase/by_clip.py", "standing = mine & on_feet.any(0)", "standing = mine", BY_CLIP),
    Mutation("envs/task_env.py", "self._steps + (~self.over).sum()", "self._steps + len(self.over)", "tests/envs/test_skill_env.py"),
    # Readers
    Mutation("motions/formats/bvh.py", "np.deg2rad(values[:, column]) / 2", "np.deg2rad(values[:, column])", BVH),
    Mutation("motions/formats/bvh.py", "quat_mul(local[:, joint], turn)", "quat_mul(turn, local[:, joint])", BVH),
    Mutation("motions/formats/bvh.py", "local, moves = local[1:], moves[1:]", "local, moves = local[:-1], moves[:-1]", BVH),
    Mutation("motions/formats/bvh.py", "torch.atan2(mats[..., 1, 0], mats[..., 0, 0])", "torch.atan2(-mats[..., 1, 0], mats[..., 0, 0])", BVH),
    Mutation("motions/formats/asfamc.py", "1.0 if in_radians else np.pi / 180", "1.0 if not in_radians else np.pi / 180", ASFAMC),
    Mutation("motions/formats/asfamc.py", "INCH_M / length", "INCH_M * length", ASFAMC),
    Mutation("motions/formats/asfamc.py", "total = quat_mul(turn, total)", "total = quat_mul(total, turn)", ASFAMC),
    Mutation("motions/formats/asfamc.py", 'if not bone.parent else "xyz"', 'or "xyz"', ASFAMC),
    Mutation("motions/formats/asfamc.py", "_product(bone.axis_order,", '_product("xyz",', ASFAMC),
    Mutation("motions/formats/gltf.py", "quat[[3, 0, 1, 2]], scale", "quat[[0, 1, 2, 3]], scale", GLTF),
    Mutation("motions/formats/gltf.py", "above.scale * self.pos", "self.pos", GLTF),
    Mutation("motions/formats/gltf.py", ".reshape(4, 4).T)", ".reshape(4, 4))", GLTF),
    Mutation("motions/formats/gltf.py", "return start + np.arange(", "return np.arange(", GLTF),
    Mutation("motions/formats/gltf.py", "quat_mul(moving.quat, quat_conj(rest.quat))", "quat_mul(quat_conj(rest.quat), moving.quat)", GLTF),
    Mutation("motions/formats/keyframes.py", "u**2 * (u - 1) * span * arrive", "u**2 * (1 - u) * span * arrive", GLTF),
    Mutation("motions/formats/glb.py", 'stride = _size(where, view, "byteStride", row) or row', "stride = row", GLTF),
    Mutation("motions/formats/c3d.py", '"cm": 0.01', '"cm": 0.1', KEYPOINTS),
    Mutation("motions/formats/c3d.py", "residuals[0].T < 0", "residuals[0].T <= 0", KEYPOINTS),
    Mutation("motions/formats/c3d.py", "0.22 * ahead - 0.30 * rise", "0.22 * ahead + 0.30 * rise", KEYPOINTS),
    Mutation("motions/formats/c3d.py", "else front - 0.8 * width", "else front + 0.8 * width", KEYPOINTS),
    Mutation("motions/formats/c3d.py", "min(value, top)", "max(value, top)", KEYPOINTS),
    Mutation("motions/formats/keypoints.py", "25 * length.std(0) + length.mean(0)", "length.mean(0)", KEYPOINTS),
    Mutation("motions/formats/keypoints.py", 'at[f"{s}heel"] + ANKLE_SHARE', 'at[f"{s}toe"] + ANKLE_SHARE', KEYPOINTS),
    Mutation("motions/formats/smpl.py", '"left_hip": ("pelvis", (0.065,', '"left_hip": ("pelvis", (-0.065,', SMPL),
    Mutation("motions/formats/smpl.py", 'usual_up="z"', 'usual_up="y"', SMPL),
    Mutation("motions/formats/mimickit.py", '"right_elbow": -1.0, "left_elbow": 1.0', '"right_elbow": 1.0, "left_elbow": -1.0', MIMICKIT),
    Mutation("motions/formats/mimickit.py", '"right_shoulder": -np.pi / 2', '"right_shoulder": np.pi / 2', MIMICKIT),
    Mutation("motions/formats/loco_mujoco.py", "splits[chosen + 1])", "splits[chosen + 1] - 1)", ROBOTS),
    Mutation("motions/formats/loco_mujoco.py", "names[1:], slice(1, None)", "names[1:], slice(None, -1)", ROBOTS),
    Mutation("motions/formats/beyondmimic.py", 'for side in ("left", "right") for part in _LEG', 'for side in ("right", "left") for part in _LEG', ROBOTS),
    Mutation("motions/formats/poselib.py", "rotation[..., [3, 0, 1, 2]]", "rotation[..., [0, 1, 2, 3]]", POSELIB),
    Mutation("motions/formats/deepmimic.py", "(v[:, 0], -v[:, 2], v[:, 1])", "(v[:, 0], v[:, 2], v[:, 1])", DEEPMIMIC),
    Mutation("motions/formats/deepmimic.py", "-0.5 * frames[:, column]", "0.5 * frames[:, column]", DEEPMIMIC),
    Mutation("motions/formats/deepmimic.py", "(grid - times[right - 1])", "(times[right] - grid)", DEEPMIMIC),
    Mutation("motions/formats/orient.py", "np.cross(up, ahead), up)", "np.cross(ahead, up), up)", BVH),
    Mutation("motions/formats/orient.py", "ahead = np.cross(left, up)", "ahead = np.cross(up, left)", BVH),
    Mutation("motions/formats/orient.py", "0.0254 / 0.45}", "0.0254 * 0.45}", BVH),
    Mutation("motions/formats/orient.py", "mat_quat(to_world @ to_rest.T)", "mat_quat(to_rest @ to_world.T)", SMPL),
    Mutation("motions/formats/robot.py", "quat_mul(quat_conj(turns[:, above]), turns)", "quat_mul(turns, quat_conj(turns[:, above]))", ROBOTS),
    Mutation("motions/formats/robot.py", "places - places[:, above]", "places[:, above] - places", ROBOTS),
    # Retargeting
    Mutation("motions/retarget.py", "match.leg_m / match.source_leg_m", "match.source_leg_m / match.leg_m", RETARGET),
    Mutation("motions/retarget.py", "qpos[:, 2] -= floor.height", "qpos[:, 2] += floor.height", RETARGET),
    Mutation("motions/retarget.py", "np.degrees(np.arctan(done.floor.tilt))", "np.arctan(done.floor.tilt)", RETARGET),
    Mutation("motions/retarget.py", "ground_shift_cm=-100 *", "ground_shift_cm=100 *", RETARGET),
    Mutation("motions/transfer.py", "* source.fps / fps", "* fps / source.fps", MATCH),
    Mutation("motions/transfer.py", "quat_mul(quat_conj(turned[above]), turned[joint.body])", "quat_mul(turned[joint.body], quat_conj(turned[above]))", RETARGET),
    Mutation("motions/targets.py", "- quat_rotate(quat[:, body], match.rest_pos[hip]", "+ quat_rotate(quat[:, body], match.rest_pos[hip]", MATCH),
    Mutation("motions/targets.py", "offset.norm() * _unit(along)", "along", MATCH),
    Mutation("motions/targets.py", "torch.linalg.cross(line, up)", "torch.linalg.cross(up, line)", RETARGET),
    Mutation("motions/targets.py", "0.0, math.sin(float(pitch) / 2), 0.0]", "0.0, -math.sin(float(pitch) / 2), 0.0]", MATCH),
    Mutation("motions/poles.py", "side = -sign *", "side = sign *", MATCH),
    Mutation("motions/poles.py", "(limb.upper_m**2 - limb.lower_m**2 + apart.square())", "(limb.lower_m**2 - limb.upper_m**2 + apart.square())", MATCH),
    Mutation("motions/ik.py", "data.xpos[self.bodies] - self.pos", "self.pos - data.xpos[self.bodies]", IK),
    Mutation("motions/ik.py", "np.cos((self.cones - LIMIT_MARGIN_RAD) / 2)", "np.cos(self.cones - LIMIT_MARGIN_RAD)", IK),
    Mutation("motions/ik.py", "(turn + np.pi) % (2 * np.pi) - np.pi", "turn", IK),
    Mutation("motions/match.py", "swing(ours, theirs)", "swing(theirs, ours)", MATCH),
    Mutation("motions/match.py", "sum(source_leg) / len(legs)", "sum(source_leg)", MATCH),
    # Contacts and measures of clips
    Mutation("motions/contacts.py", "(points[..., 2].amin(-1) < low_m)", "(points[..., 2].amax(-1) < low_m)", CONTACTS),
    Mutation("motions/contacts.py", ".norm(dim=-1).amin(-1)", ".norm(dim=-1).amax(-1)", CONTACTS),
    Mutation("motions/contacts.py", "speed = torch.maximum(torch.cat(", "speed = torch.minimum(torch.cat(", CONTACTS),
    Mutation("motions/contacts.py", "fit[0] - fit[1:] @ centre", "fit[0] + fit[1:] @ centre", CONTACTS),
    Mutation("motions/contacts.py", "after[0] - t**2 * one * end", "after[0] + t**2 * one * end", CONTACTS),
    Mutation("motions/measures.py", "torch.maximum(turn - high, low - turn)", "torch.minimum(turn - high, low - turn)", MEASURES),
    Mutation("motions/measures.py", "[rests[1:] & rests[:-1]]", "[rests[1:] | rests[:-1]]", MEASURES),
    Mutation(
        "motions/measures.py",
        "quat_mul(quat_conj(torch.stack((yaw.cos(), zero, zero, yaw.sin()), dim=-1)), root)",
        "quat_mul(root, quat_conj(torch.stack((yaw.cos(), zero, zero, yaw.sin()), dim=-1)))",
        MEASURES,
    ),
    # Datasets
    Mutation("motions/auto_dataset.py", "(d / KIN_RAD) ** 2", "d / KIN_RAD", AUTO_DATASET),
    Mutation("motions/auto_dataset.py", "min(s, FULL_S)", "max(s, FULL_S)", AUTO_DATASET),
    Mutation("motions/auto_dataset.py", "any(abs(float(", "any((float(", AUTO_DATASET),
    Mutation("motions/skeleton_map.py", "dict(reversed(list(", "dict(iter(list(", SKELETON_MAP),
    Mutation("motions/dataset.py", "fps=part.fps * entry.tempo", "fps=part.fps / entry.tempo", DATASET),
    Mutation("motions/synthetic.py", "lean * x - hip * y + 0 * t", "-lean * x - hip * y + 0 * t", SYNTHETIC),
    Mutation("motions/synthetic.py", "= KNEE_RAD * y + 0 * t", "= -KNEE_RAD * y + 0 * t", SYNTHETIC),
    # Latents by weight, trained beginnings, time on a device, CMU's takes by their joint angles
    Mutation("ase/anchors.py", "torch.multinomial(weights, n", "torch.multinomial(torch.ones_like(weights), n", ANCHORS),
    Mutation("ase/learner.py", "partial(self.anchors.draw, weights=clip_weights)", "self.anchors.draw", "tests/ase/test_pretrain.py"),
    Mutation("envs/humanoid.py", '["features"] += self.clock() - stepped', '["features"] += self.clock() - start', "tests/envs/test_bench.py"),
    Mutation("envs/cmu_amc.py", "FORWARD = torch.tensor([0.5**0.5, 0.0, 0.0, 0.5**0.5]", "FORWARD = torch.tensor([0.5**0.5, 0.0, 0.0, -(0.5**0.5)]", CMU_AMC),
    Mutation("envs/cmu_amc.py", "AXES = torch.tensor([0.5, 0.5, 0.5, 0.5]", "AXES = torch.tensor([0.5, -0.5, -0.5, -0.5]", CMU_AMC),
    Mutation("envs/cmu_amc.py", "quat_mul(quat[1:], quat_conj(quat[:1]))", "quat_mul(quat_conj(quat[:1]), quat[1:])", CMU_AMC),
    Mutation("envs/cmu_amc.py", "torch.from_numpy(qpos[:, 3:7])), quat_conj(AXES))", "torch.from_numpy(qpos[:, 3:7])), AXES)", CMU_AMC),
    Mutation("envs/cmu_amc.py", "quat_mul(quat_conj(world[:, max(above, 0)]), world[:, k])", "quat_mul(world[:, k], quat_conj(world[:, max(above, 0)]))", CMU_AMC),
    Mutation("envs/assist.py", "torch.where(fallen, self.level * draw, 0.0)", "torch.where(fallen, 0.0, self.level * draw)", ASSIST),
    Mutation("envs/assist.py", "(UPRIGHT - root_height_m / self.standing_m)", "(root_height_m / self.standing_m - UPRIGHT)", ASSIST),
    Mutation("envs/assist.py", "(failed - succeeded)", "(succeeded - failed)", ASSIST),
    Mutation("envs/assist.py", "2 * self.lift > self.level", "2 * self.lift > 0", ASSIST),
    Mutation("envs/assist.py", "torch.where(due, 0.0, self.lift)", "self.lift", ASSIST),
    Mutation("envs/humanoid.py", "self.assist.begin(ids, starts.clip == FALLEN)", "self.assist.begin(ids, starts.clip != FALLEN)", ASSIST),
    Mutation("envs/humanoid.py", "(self.grace_steps == 0) & (self.start_clip == FALLEN)", "(self.grace_steps == 0)", ASSIST),
    Mutation("envs/humanoid.py", "self.config.rise_weight * rise_reward(", "rise_reward(", FALLS),
    Mutation("envs/quality.py", "torch.diff(points, n=3, dim=0) / dt**3", "torch.diff(points, n=2, dim=0) / dt**3", QUALITY),
    Mutation("envs/quality.py", "(low + NEAR_LIMIT, high - NEAR_LIMIT)", "(low - NEAR_LIMIT, high + NEAR_LIMIT)", QUALITY),
    Mutation("envs/quality.py", "(effort * rate).clamp_min(0.0)", "(effort * rate).abs()", QUALITY),
    Mutation("envs/quality.py", "self.whole &= ~env.fallen", "self.whole &= env.fallen", QUALITY),
    Mutation("ase/motion_sets.py", "- 2 * cross", "- cross", SETS),
    Mutation("ase/motion_sets.py", "(a.mean(0) - b.mean(0)).square()", "(a.mean(0) + b.mean(0)).square()", SETS),
    Mutation("ase/motion_sets.py", "cost[linear_sum_assignment(cost)]", "cost[linear_sum_assignment(-cost)]", SETS),
    Mutation("ase/motion_sets.py", "softplus(-logits[0]).mean() + nn.functional.softplus(logits[1])", "softplus(logits[0]).mean() + nn.functional.softplus(-logits[1])", SETS),
    Mutation("ase/motion_sets.py", "agent_seen = rollout_seen[agent_owner]", "agent_seen = rollout_seen[torch.arange(len(agent_owner)) % len(rollout_seen)]", SETS),
    Mutation("ase/motion_sets.py", "distance[~same].mean()", "distance[same].mean()", SETS),
    Mutation("ase/transitions.py", "before * num_clips + after", "after * num_clips + before", TRANSITIONS),
    Mutation("ase/transitions.py", "pairs = ~torch.eye", "pairs = torch.eye", TRANSITIONS),
    Mutation("ase/transitions.py", "before[alive], after[alive]", "before, after", TRANSITIONS),
    Mutation("ase/transitions.py", "left < look and", "left >= steps - look and", TRANSITIONS),
    Mutation("ase/clip_space.py", "1.0 / torch.bincount", "torch.bincount", TRANSITIONS),
    Mutation("ase/clip_space.py", "(windows - self._mean) / self._std", "(windows + self._mean) / self._std", TRANSITIONS),
    Mutation("ase/convergence.py", "change = fmean(late) - fmean(early)", "change = fmean(early) - fmean(late)", CONVERGENCE),
    Mutation("ase/convergence.py", "len(played) < COLLAPSED * len(clips)", "len(played) > COLLAPSED * len(clips)", CONVERGENCE),
    Mutation("ase/convergence.py", "max(gains.values()) > 0", "max(gains.values()) < 0", CONVERGENCE),
    Mutation("ase/confidence.py", "0.5 + LEVEL / 2", "LEVEL", CONFIDENCE),
    Mutation("ase/confidence.py", "/ math.sqrt(len(values))", "", CONFIDENCE),
    Mutation("ase/confidence.py", "2 * sum(clip", "sum(clip", CONFIDENCE),
    Mutation("cfg/measures.py", "HIGH: lambda v: -v", "HIGH: lambda v: v", COMPARE),
    Mutation("cfg/figures.py", "table.sum(1, keepdims=True)", "table.sum(0, keepdims=True)", PAGE),
    Mutation("ase/skill_search.py", "score.argsort()[:few]", "score.argsort(descending=True)[:few]", SKILL_SEARCH),
    Mutation("ase/skill_search.py", ".mean(1).argmin()", ".mean(1).argmax()", SKILL_SEARCH),
    Mutation("ase/skill_search.py", "(other - own)", "(own - other)", SKILL_SEARCH),
    Mutation("ase/skill_search.py", "torch.where(alive, distance, worst)", "torch.where(alive, distance, 0 * worst)", SKILL_SEARCH),
]
