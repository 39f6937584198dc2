"""One-line bugs of clips and of the command line; see `tests.mutation_list`."""

from __future__ import annotations

from tests.mutation import Mutation

MIRROR = "tests/envs/test_mirror.py"
ROTATIONS = "tests/motions/test_rotations.py"
LIBRARY = "tests/motions/test_library.py"
SMOOTH = "tests/motions/test_smooth.py"
JOINS = "tests/motions/test_joins.py"
COMPARE = "tests/test_compare.py"
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
REACHING = "tests/motions/test_reaching.py"
BEND = "tests/motions/test_bend.py"

MUTATIONS = [
    Mutation("motions/library.py", "dtype=torch.float32, device=self.device)  # [C, 3]", "dtype=torch.float32)  # [C, 3]", "tests/test_devices.py"),
    Mutation("motions/library.py", "- first[clip_ids]) * step_s", ") * step_s", LIBRARY),
    Mutation("motions/library.py", "(self.durations_s / step_s + 1e-3).long() + 1", "(self.durations_s / step_s + 1e-3).long()", LIBRARY),
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
    Mutation("cfg/task_wiring.py", "flip[0] = -1.0", "flip[1] = -1.0", MIRROR),
    Mutation("motions/dataset.py", "if entry.ground else clip", "if not entry.ground else clip", "tests/motions/test_dataset.py"),
    Mutation("motions/smooth.py", "for k in (-1, 0, 1)]", "for k in (0, 0, 0)]", SMOOTH),
    Mutation("motions/smooth.py", "root_pos - offset if cycles < 0", "root_pos + offset if cycles < 0", SMOOTH),
    Mutation("motions/smooth.py", "moved + offset if cycles > 0", "moved - offset if cycles > 0", SMOOTH),
    Mutation("motions/smooth.py", "torch.tensor(cycles * yaw", "torch.tensor(-cycles * yaw", SMOOTH),
    Mutation("motions/smooth.py", "sigma_s * clip.fps", "sigma_s / clip.fps", SMOOTH),
    Mutation("motions/smooth.py", "slice(n, 2 * n + 1)", "slice(n + 1, 2 * n + 2)", SMOOTH),
    Mutation("motions/smooth.py", "make_continuous(turns), make_continuous(joints)", "turns, joints", SMOOTH),
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
    Mutation("motions/bend.py", "height * math.sin(lean)", "-height * math.sin(lean)", BEND),
    Mutation("motions/bend.py", "* math.cos(lean)", "* math.sin(lean)", BEND),
    Mutation("motions/bend.py", "quat_exp(torch.from_numpy(-lean", "quat_exp(torch.from_numpy(lean", BEND),
    Mutation("motions/bend.py", "np.exp(0.5j * turn_rad_s", "np.exp(1j * turn_rad_s", BEND),
    Mutation("motions/bend.py", "(own + turn_rad_s) * seconds", "turn_rad_s * seconds", BEND),
    Mutation("motions/bend.py", "seconds -= seconds[-1] / 2", "seconds -= 0.0", BEND),
    Mutation("motions/bend.py", "yaw_quat(torch.from_numpy(turn_rad_s", "yaw_quat(torch.from_numpy(-turn_rad_s", BEND),
    Mutation("motions/dataset_entries.py", "turn_rad_s=-entry.turn_rad_s", "turn_rad_s=entry.turn_rad_s", DATASET),
    Mutation("motions/dataset.py", "bend(clip, entry.turn_rad_s) if", "bend(clip, 2 * entry.turn_rad_s) if", DATASET),
    Mutation("motions/dataset.py", "fps=part.fps * entry.tempo", "fps=part.fps / entry.tempo", DATASET),
    Mutation("motions/synthetic.py", "lean * x - hip * y + 0 * t", "-lean * x - hip * y + 0 * t", SYNTHETIC),
    Mutation("motions/synthetic.py", "= KNEE_RAD * y + 0 * t", "= -KNEE_RAD * y + 0 * t", SYNTHETIC),
    Mutation("motions/reaching.py", "stand.root_pos[0] + np.array(place)", "stand.root_pos[0] - np.array(place)", REACHING),
    Mutation("motions/reaching.py", '("pelvis", "torso", "head")', '("torso", "head")', REACHING),
    Mutation("motions/reaching.py", "away * math.sin(", "-away * math.sin(", REACHING),
    Mutation("motions/reaching.py", "pose.joint_quat[0, joints]", "clip.joint_quat[0, joints]", REACHING),
    Mutation("motions/reaching.py", "ARM), mirror(pose)", "ARM), pose", REACHING),
    Mutation("motions/reaching.py", "tuple(other_side(joint) for joint in ARM)", "ARM", REACHING),
    Mutation("motions/ik.py", "mink.ComTask(np.array([3.0, 3.0, 0.0]))", "mink.ComTask(np.array([0.0, 0.0, 3.0]))", REACHING),
    Mutation("motions/ik.py", "posture.set_target(pose)", "posture.set_target(model.qpos0)", REACHING),
    Mutation("motions/joins.py", "(1 + 2 * s) * gap + s", "(1 + 2 * s) * gap - s", JOINS),
    Mutation("motions/joins.py", "(1 + 2 * s)", "(1 - 2 * s)", JOINS),
    Mutation("motions/joins.py", "heading(others[1, 0]) - heading(here.root_quat[1])", "heading(here.root_quat[1]) - heading(others[1, 0])", JOINS),
    Mutation("motions/joins.py", "quat_mul(quat_mul(others[0], quat_conj(others[1])), others[0])", "others[0]", JOINS),
    Mutation("motions/joins.py", "2 * there_pos[0] - there_pos[1]", "there_pos[0]", JOINS),
    Mutation("motions/joins.py", "after.root_pos + fade", "after.root_pos - fade", JOINS),
    Mutation("motions/joins.py", "quat_conj(twist[0])", "twist[0]", JOINS),
    Mutation("motions/joins.py", "(off[1] - off[0]) / step_s", "(off[0] - off[1]) / step_s", JOINS),
    Mutation("motions/joins.py", "join.target_s + times", "join.target_s - times", JOINS),
    Mutation("motions/joins.py", "heading(own.root_quat[-1]) - heading(seam_quat[0])", "heading(seam_quat[0]) - heading(own.root_quat[-1])", JOINS),
    Mutation("motions/joins.py", "seam_pos[1:] - seam_pos[0] * level", "seam_pos[1:]", JOINS),
    Mutation("motions/joins.py", "torch.arange(blended, count + 1)", "torch.arange(count + 1)", JOINS),
    Mutation("motions/dataset.py", "if entry.loop_s else clip", "if False else clip", "tests/motions/test_dataset.py"),
    Mutation("cfg/measures.py", "HIGH: lambda v: -v", "HIGH: lambda v: v", COMPARE),
    Mutation("cfg/figures.py", "table.sum(1, keepdims=True)", "table.sum(0, keepdims=True)", PAGE),
]
