"""One-line bugs of learning; see `tests.mutation_list`."""

from __future__ import annotations

from tests.mutation import Mutation

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
ANCHORS = "tests/ase/test_anchors.py"
PRETRAIN = "tests/ase/test_pretrain.py"
FIRST = "tests/ase/test_first_latents.py"
CHECKPOINT = "tests/ase/test_checkpoint.py"
ROBUSTNESS = "tests/ase/test_robustness.py"
TASK_TRAIN = "tests/ase/test_task_train.py"
PRACTICE = "tests/ase/test_practice.py"
BY_CLIP = "tests/ase/test_by_clip.py"
SETS = "tests/ase/test_motion_sets.py"
TRANSITIONS = "tests/ase/test_transitions.py"
CONVERGENCE = "tests/ase/test_convergence.py"
CONFIDENCE = "tests/ase/test_confidence.py"
SKILL_SEARCH = "tests/ase/test_skill_search.py"
FLOOR = "tests/ase/test_floor_clips.py"

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
    Mutation("ase/ppo.py", "loss + config.diversity_weight", "loss - config.diversity_weight", PPO),
    Mutation("ase/ppo.py", "Descent(policy_opt, config.max_grad_norm), Descent(value_opt, config.max_grad_norm)", "Descent(policy_opt, 1e9), Descent(value_opt, 1e9)", PPO),
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
    Mutation("ase/metrics.py", "held.float().argmax(0) * dt", "held.float().argmax(0)", ROBUSTNESS),
    Mutation("ase/robustness.py", "recovery(stood[:, upright], dt, HOLD_S)", "recovery(stood, dt, HOLD_S)", ROBUSTNESS),
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
    # Symmetry and measures
    Mutation("ase/symmetry.py", "z[:, :1].abs()", "z[:, :1]", MIRROR),
    Mutation("ase/symmetry.py", "action[..., self.action_index]", "action[..., :]", MIRROR),
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
    Mutation("ase/anchors.py", "self.points[k] = points[old_names.index(name)]", "self.points[k] = points[k % len(points)]", FIRST),
    Mutation("ase/robustness.py", "torch.where(self._env.standing, 0,", "torch.where(~self._env.standing, 0,", "tests/ase/test_robustness.py"),
    Mutation("ase/robustness.py", "self._env.fallen & (self._left <= 0)", "self._env.fallen", "tests/ase/test_robustness.py"),
    Mutation("ase/nets.py", "mean = (here + self.mirror.action(there)) / 2", "mean = (here + there) / 2", MIRROR),
    Mutation("ase/nets.py", "return (here + there) / 2", "return here", MIRROR),
    Mutation("ase/learner.py", "(draw < config.recognized_share)", "(draw > config.recognized_share)", FIRST),
    Mutation("ase/learner.py", "(draw >= 1 - config.clip_share)", "(draw >= config.clip_share)", FIRST),
    Mutation("ase/anchors.py", "torch.where(clips == first, SIDE, -SIDE)", "torch.where(clips == first, SIDE, SIDE)", "tests/ase/test_anchors.py"),
    Mutation("ase/style.py", "config.anchor_weight * anchored", "-config.anchor_weight * anchored", STYLE),
    Mutation("ase/style.py", "samples >= self.skill_ramp_samples", "samples <= self.skill_ramp_samples", STYLE),
    # Practice, pace, smoothing, clips by their latents
    Mutation("ase/anchors.py", "torch.cat((known, axes, -axes, -known[alone]))", "torch.cat((known, axes, axes, -known[alone]))", ANCHORS),
    Mutation("ase/anchors.py", "known.t() > -TAKEN", "known.t() > -2", ANCHORS),
    Mutation("ase/anchors.py", ".amax(-1).argmin()", ".amax(-1).argmax()", ANCHORS),
    Mutation("ase/anchors.py", ".t())[0].t()[len(known) :]", ".t())[0].t()[:]", FIRST),
    Mutation("ase/anchors.py", "spread(known, count - len(old))", "spread(known[:0], count - len(old))", FIRST),
    Mutation("ase/actor_critic.py", "(1 - memory**2) ** 0.5 * fresh", "(1 - memory) * fresh", TASK_TRAIN),
    Mutation("ase/actor_critic.py", 'self._noise = saved["noise"]', "self._noise = self._noise", TASK_TRAIN),
    # Clips that go to the floor
    Mutation("ase/learner.py", "self._floor_clips[self.anchors.cell(z)]", "~self._floor_clips[self.anchors.cell(z)]", FLOOR),
    Mutation("ase/learner.py", "* self.latents.steps_left[env_ids]", "* self.latents.age[env_ids]", FLOOR),
    Mutation("ase/learner.py", "self.goes_down(z) * steps)", "steps * torch.ones_like(z[:, 0]))", FLOOR),
    Mutation("ase/collect.py", "env.allow_floor(switch, learner.floor_steps(switch))", "pass", FLOOR),
    Mutation("ase/pretrain.py", "env.allow_floor(env_ids, learner.floor_steps(env_ids))", "pass", FLOOR),
    Mutation("ase/evaluate.py", "    learner.hold(env, z, steps)\n", "", FLOOR),
    Mutation("ase/by_clip.py", "learner.hold(env, learner.anchors.sample(ids, generator), steps)", "learner.anchors.sample(ids, generator)", BY_CLIP),
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
    Mutation("ase/robustness.py", "stood[:, upright]", "stood", "tests/ase/test_robustness.py"),
    Mutation("ase/anchors.py", "self.focus * self.points[clip_ids] + (1 - self.focus)", "(1 - self.focus) * self.points[clip_ids] + self.focus", ANCHORS),
    Mutation("ase/latents.py", "samples >= self.focus_from_samples", "samples < self.focus_from_samples", "tests/ase/test_pretrain.py"),
    Mutation("ase/learner.py", "self.anchors.draw(n, generator=generator) if", "sample_latents(n, self.config.latents.dim, generator) if", "tests/ase/test_first_latents.py"),
    Mutation("ase/ppo.py", "z[torch.randperm(len(z), generator=generator, device=z.device)[part]]", "z[part]", "tests/ase/test_ppo.py"),
    Mutation("ase/rollout.py", "alive & ~step.terminated", "alive", BY_CLIP),
    Mutation("ase/by_clip.py", "round(1.0 / control_dt), None", "None, None", BY_CLIP),
    Mutation("ase/by_clip.py", "learner.hold(env, z, steps)", "", BY_CLIP),
    Mutation("ase/by_clip.py", "count = (steps - first) // second", "count = steps // second", BY_CLIP),
    Mutation("ase/by_clip.py", "nearest == ids[owner]", "nearest != ids[owner]", BY_CLIP),
    Mutation("ase/by_clip.py", "& standing[owner]", "", BY_CLIP),
    Mutation("ase/by_clip.py", "+ (t - first) // second", "", BY_CLIP),
    Mutation("cfg/commands/evaluate.py", "share >= COVERAGE_SHARE", "share < COVERAGE_SHARE", "tests/test_cli.py"),
    Mutation("ase/by_clip.py", "standing = mine & on_feet.any(0)", "standing = mine", BY_CLIP),
    Mutation("ase/by_clip.py", "error[:, mine][on_feet[:, mine]].mean()", "error[:, mine].mean()", BY_CLIP),
    Mutation("ase/by_clip.py", "torch.stack(errors)[later]", "torch.stack(errors)", BY_CLIP),
    Mutation("ase/by_clip.py", "poses.off_deg(step.disc_obs[:, -1], ids)", "poses.off_deg(step.disc_obs[:, -1], ids.flip(0))", BY_CLIP),
    # Latents by weight, trained beginnings, time on a device, CMU's takes by their joint angles
    Mutation("ase/anchors.py", "torch.multinomial(weights, n", "torch.multinomial(torch.ones_like(weights), n", ANCHORS),
    Mutation("ase/motion_sets.py", "- 2 * cross", "- cross", SETS),
    Mutation("ase/motion_sets.py", "(a.mean(0) - b.mean(0)).square()", "(a.mean(0) + b.mean(0)).square()", SETS),
    Mutation("ase/motion_sets.py", "cost[linear_sum_assignment(cost)]", "cost[linear_sum_assignment(-cost)]", SETS),
    Mutation("ase/motion_sets.py", "softplus(-logits[0]).mean() + nn.functional.softplus(logits[1])", "softplus(logits[0]).mean() + nn.functional.softplus(-logits[1])", SETS),
    Mutation("ase/motion_sets.py", "agent_seen = rollout_seen[agent_owner]", "agent_seen = rollout_seen[torch.arange(len(agent_owner)) % len(rollout_seen)]", SETS),
    Mutation("ase/motion_sets.py", "(middle, high) if told(middle) else (low, middle)", "(low, middle) if told(middle) else (middle, high)", SETS),
    Mutation("ase/motion_sets.py", "windows + noise * torch", "windows + noise**2 * torch", SETS),
    Mutation("ase/motion_sets.py", "net(seen(demo[~demo_seen]))", "net(demo[~demo_seen])", SETS),
    Mutation("ase/motion_sets.py", "not plain > HARDLY_TOLD", "plain < HARDLY_TOLD", SETS),
    Mutation("ase/motion_sets.py", "distance[~same].mean()", "distance[same].mean()", SETS),
    Mutation("ase/transitions.py", "learner.hold(env, second, steps)", "learner.hold(env, first, steps)", TRANSITIONS),
    Mutation("ase/transitions.py", "if t == steps - 1:", "if t == steps:", TRANSITIONS),
    Mutation("ase/transitions.py", "before * num_clips + after", "after * num_clips + before", TRANSITIONS),
    Mutation("ase/transitions.py", "pairs = ~torch.eye", "pairs = torch.eye", TRANSITIONS),
    Mutation("ase/transitions.py", "before[alive], after[alive]", "before, after", TRANSITIONS),
    Mutation("ase/transitions.py", "left < look and", "left >= steps - look and", TRANSITIONS),
    Mutation("ase/evaluate.py", "space.in_large_units(space.demo), space.in_large_units(agent)", "space.demo, agent", "tests/ase/test_evaluate.py"),
    Mutation("ase/clip_space.py", "self._std / self._std.clamp_min(LEAST_UNIT)", "self._std.clamp_min(LEAST_UNIT) / self._std", "tests/ase/test_evaluate.py"),
    Mutation("ase/clip_space.py", "1.0 / torch.bincount", "torch.bincount", TRANSITIONS),
    Mutation("ase/clip_space.py", "(windows - self._mean) / self._std", "(windows + self._mean) / self._std", TRANSITIONS),
    Mutation("ase/convergence.py", "change = fmean(late) - fmean(early)", "change = fmean(early) - fmean(late)", CONVERGENCE),
    Mutation("ase/convergence.py", "len(played) < COLLAPSED * len(clips)", "len(played) > COLLAPSED * len(clips)", CONVERGENCE),
    Mutation("ase/convergence.py", "max(gains.values()) > 0", "max(gains.values()) < 0", CONVERGENCE),
    Mutation("ase/evaluate.py", "{REST: rolled.began < 0}", "{REST: rolled.began >= 0}", "tests/ase/test_evaluate.py"),
    Mutation("ase/confidence.py", "0.5 + LEVEL / 2", "LEVEL", CONFIDENCE),
    Mutation("ase/confidence.py", "/ math.sqrt(len(values))", "", CONFIDENCE),
    Mutation("ase/confidence.py", "2 * sum(clip", "sum(clip", CONFIDENCE),
    Mutation("ase/skill_search.py", "score.argsort()[:few]", "score.argsort(descending=True)[:few]", SKILL_SEARCH),
    Mutation("ase/skill_search.py", ".mean(1).argmin()", ".mean(1).argmax()", SKILL_SEARCH),
    Mutation("ase/skill_search.py", "(other - own)", "(own - other)", SKILL_SEARCH),
    Mutation("ase/skill_search.py", "clip_ids.repeat(count)", "clip_ids.repeat_interleave(count)", SKILL_SEARCH),
    Mutation("cfg/commands/skill.py", " & (times >= first_s)", "", "tests/test_skill_command.py"),
    Mutation("cfg/commands/skill.py", "        steps += skip\n", "        pass\n", "tests/test_skill_command.py"),
    Mutation("cfg/commands/skill.py", "*starts(), steps, distance, skip)", "*starts(), steps, distance, history)", "tests/test_skill_command.py"),
    Mutation("ase/skill_search.py", "torch.where(alive, distance, worst)", "torch.where(alive, distance, 0 * worst)", SKILL_SEARCH),
]
