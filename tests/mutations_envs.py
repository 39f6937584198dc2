"""One-line bugs of environment; see `tests.mutation_list`."""

from __future__ import annotations

from tests.mutation import Mutation

MIRROR = "tests/envs/test_mirror.py"
STRIKE = "tests/envs/test_strike.py"
THROWS = "tests/envs/test_throws.py"
CMU_AMC = "tests/envs/test_cmu_amc.py"
ADOPT = "tests/envs/test_adopt.py"
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
CHARACTER = "tests/envs/test_character.py"
ASSIST = "tests/envs/test_assist.py"
QUALITY = "tests/envs/test_quality.py"
CLIP_ACTIONS = "tests/envs/test_clip_actions.py"
FOOTING = "tests/envs/test_footing.py"

MUTATIONS = [
    Mutation("envs/resets.py", "(1 - hard + hard * self.failure)", "(1 - hard + hard * (1 - self.failure))", RESETS),
    Mutation("envs/resets.py", "keep = (1 - FORGET) ** count", "keep = (1 - FORGET) * count", RESETS),
    Mutation("envs/resets.py", 'self.failure, self.seconds = saved["clips"].to', 'self.failure, self.seconds = saved["drawn_for"].to', RESETS),
    Mutation("envs/resets.py", "weights / self.seconds.clamp_min(SHORTEST_S)", "weights * self.seconds.clamp_min(SHORTEST_S)", RESETS),
    Mutation("envs/resets.py", "(1 - keep) * mean(seconds)", "(1 - keep) * mean(failed)", RESETS),
    Mutation("envs/humanoid.py", "age * self.config.control_dt)", "age)", RESETS),
    Mutation("envs/humanoid.py", "self.fallen[ids] & soon", "soon", RESETS),
    Mutation("envs/humanoid.py", "soon, age = -self.grace_steps[ids] <=", "soon, age = self.grace_steps[ids] <=", RESETS),
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
    Mutation("envs/tasks/location.py", "(1 - along / speed_m_s)", "(speed_m_s - along)", TASKS),
    Mutation("envs/tasks/location.py", "near = distance < NEAR_M", "near = distance.square() < NEAR_M", TASKS),
    Mutation("envs/tasks/location.py", "(1 - along / speed_m_s).clamp_min(0.0)", "(1 - along / speed_m_s)", TASKS),
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
    Mutation("envs/humanoid.py", "torch.where(self.may_lie, 1.0, up)", "up", FALLS),
    Mutation("envs/humanoid.py", "self.may_lie[env_ids] = steps > 0", "self.may_lie[env_ids] |= steps > 0", FALLS),
    Mutation("envs/humanoid.py", "starts.grace_steps, starts.clip, False", "starts.grace_steps, starts.clip, self.may_lie[ids]", FALLS),
    Mutation("envs/humanoid.py", "steps + self.starts.grace, 0)", "steps, 0)", FALLS),
    Mutation("envs/humanoid.py", "torch.where(steps > 0, steps + self.starts.grace, 0)", "steps + self.starts.grace", FALLS),
    Mutation("envs/humanoid.py", "torch.maximum(self.grace_steps[env_ids], longer)", "longer", FALLS),
    Mutation("envs/resets.py", "for clip in library.loops.nonzero().flatten():", "for clip in torch.arange(library.num_clips):", RESETS),
    Mutation("envs/resets.py", "bodies, heights).any()\n    return found", "bodies, heights).all()\n    return found", RESETS),
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
    Mutation("envs/mirror.py", "[-1.0, 1.0, -1.0]", "[-1.0, 1.0, 1.0]", MIRROR),
    Mutation("envs/mirror.py", "members.index(partner[k])", "members.index(k)", MIRROR),
    Mutation("envs/humanoid.py", "(1 + up) / 2", "(1 - up) / 2", "tests/envs/test_falls.py"),
    Mutation("envs/tasks/heading.py", "(1.0, -1.0, 1.0, 1.0, -1.0)", "(1.0, 1.0, 1.0, 1.0, 1.0)", MIRROR),
    Mutation("envs/tasks/strike.py", "(*POLAR, *POLAR, *POLAR, *POLAR, *AXIAL)", "(*POLAR, *POLAR, *POLAR, *POLAR, *POLAR)", MIRROR),
    Mutation("envs/humanoid.py", "stride * torch.randint(self.config.episode_steps // stride", "stride * torch.randint(self.config.episode_steps", ENV),
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
    Mutation("envs/adopt.py", "np.cross(rows[1], rows[0])", "np.cross(rows[0], rows[1])", ADOPT),
    Mutation("envs/adopt.py", "(model.body_ipos[body] - anchor)", "(model.body_ipos[body] + anchor)", ADOPT),
    Mutation("envs/adopt.py", "frame @ inertial.reshape(3, 3)", "inertial.reshape(3, 3)", ADOPT),
    Mutation("envs/adopt.py", "strength + FAST_RAD_S *", "strength - FAST_RAD_S *", ADOPT),
    Mutation("envs/adopt.py", "    return -low", "    return low", ADOPT),
    Mutation("envs/mirror.py", "else [turn])", "else [1.0])", ADOPT),
    Mutation("envs/mirror.py", "torch.tensor(axis) * torch.tensor(AXIAL)", "torch.tensor(axis) * torch.tensor(POLAR)", ADOPT),
    Mutation("envs/humanoid.py", "(qvel.abs().amax() < MAX_SPEED)", "(qvel.amax() < MAX_SPEED)", ENV),
    Mutation("envs/task_env.py", "self._steps + (~self.over).sum()", "self._steps + len(self.over)", "tests/envs/test_skill_env.py"),
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
    Mutation("envs/humanoid.py", "self.config.rise_weight * torch.where(self.may_lie", "torch.where(self.may_lie", FALLS),
    Mutation("envs/quality.py", "torch.diff(points, n=3, dim=0) / dt**3", "torch.diff(points, n=2, dim=0) / dt**3", QUALITY),
    Mutation("envs/quality.py", "(low + NEAR_LIMIT, high - NEAR_LIMIT)", "(low - NEAR_LIMIT, high + NEAR_LIMIT)", QUALITY),
    Mutation("envs/quality.py", "(effort * rate).clamp_min(0.0)", "(effort * rate).abs()", QUALITY),
    Mutation("envs/quality.py", "self.whole &= ~env.fallen", "self.whole &= env.fallen", QUALITY),
    Mutation("envs/clip_actions.py", "data.qfrc_inverse[6:size] - whole", "data.qfrc_inverse[6:size] + whole", CLIP_ACTIONS),
    Mutation("envs/clip_actions.py", "np.exp(-np.maximum(", "np.exp(np.maximum(", CLIP_ACTIONS),
    Mutation("envs/clip_actions.py", "times + control_dt / 2", "times - control_dt / 2", CLIP_ACTIONS),
    Mutation("envs/clip_actions.py", "(after - before) / (last - first)", "(before - after) / (last - first)", CLIP_ACTIONS),
    Mutation("envs/clip_actions.py", "last.minimum(library.durations_s[clip])", "last", CLIP_ACTIONS),
    Mutation("envs/clip_actions.py", "skeleton) + pull", "skeleton) - pull", CLIP_ACTIONS),
    Mutation("envs/clip_actions.py", "(library.weights / counts)[clip]", "library.weights[clip]", CLIP_ACTIONS),
    Mutation("envs/clip_actions.py", "FLIGHT * np.eye(6)", "1e-12 * np.eye(6)", CLIP_ACTIONS),
    Mutation("envs/footing.py", ").all(0)", ").any(0)", FOOTING),
    Mutation("envs/footing.py", "slip(points, 1 / dt)", "slip(points, dt)", FOOTING),
    Mutation("envs/humanoid.py", "reward = reward - self.config.slide_weight", "reward = reward + self.config.slide_weight", FOOTING),
    Mutation("envs/features.py", "range(first + dofs.start", "range(dofs.start", FEATURES),
    Mutation("envs/adopt.py", "np.linalg.norm(widest)", "np.max(widest)", ADOPT),
    Mutation("envs/character.py", "model.actuator_biasprm[:, 1:3] *= factor", "model.actuator_biasprm[:, 1:3] /= factor", CHARACTER),
    Mutation("envs/character.py", "model.actuator_forcerange[:] *= factor", "model.actuator_forcerange[:] *= 1", CHARACTER),
    Mutation("envs/character.py", "model.dof_damping[driven] *= factor", "model.dof_damping[driven] *= 1", CHARACTER),
]
