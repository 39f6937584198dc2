"""The humanoid against published figures, and what is said about a character that cannot be used."""

import copy
import math
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from envs.character import ASSETS, CharacterSpec, load_character
from envs.mirror import mirror_map
from envs.physics_cpu import CpuPhysics
from motions.rotations import quat_log
from tests.envs.helpers import random_state

# (offset, scale) of position targets in radians, and (stiffness, damping, armature, strength) of each joint; limbs of both sides alike.
ACTIONS = {
    "abdomen": (0.0, 1.885),
    "neck": (0.0, 1.257),
    "shoulder": (0.0, 3.142),
    "elbow": (-1.396, 1.955),
    "hip": (0.0, 2.932),
    "knee": (1.396, 1.955),
    "ankle": (0.0, 1.152),
}
GAINS = {
    "abdomen": (1000, 100, 0.02, 200),
    "neck": (100, 10, 0.01, 50),
    "shoulder": (400, 40, 0.02, 100),
    "elbow": (300, 30, 0.01, 70),
    "hip": (500, 50, 0.02, 200),
    "knee": (500, 50, 0.02, 150),
    "ankle": (400, 40, 0.01, 90),
}
FULL_STRENGTH_RAD_S = 10.0  # up to this speed a joint's own damping leaves it its published strength
MASSES = {"pelvis": 9.996, "torso": 12.012, "head": 3.882, "upper_arm": 1.499, "lower_arm": 1.0, "hand": 0.5, "thigh": 4.502, "shin": 3.0, "foot": 1.0}
JOINTS = ["abdomen", "neck", "right_shoulder", "right_elbow", "left_shoulder", "left_elbow", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"]


def kind_of(name):
    return name.removeprefix("right_").removeprefix("left_")


def test_masses(character):
    found = {name: float(character.model.body(name).mass[0]) for name in character.skeleton.body_names}
    assert len(found) == 15
    assert sum(found.values()) == pytest.approx(48.9, rel=0.01)
    assert found == pytest.approx({name: MASSES[kind_of(name)] for name in found}, rel=0.01)


def test_joints_and_their_order(character):
    assert list(character.skeleton.joint_names) == JOINTS
    assert character.num_actions == character.skeleton.num_dofs == 28
    assert [j.kind for j in character.skeleton.joints] == ["hinge" if "knee" in n or "elbow" in n else "ball" for n in JOINTS]


def test_action_ranges(character):
    for joint, columns in zip(character.skeleton.joints, character.skeleton.dof_slices, strict=True):
        offset, scale = ACTIONS[kind_of(joint.name)]
        assert character.action_offset[columns].tolist() == pytest.approx([offset] * joint.dofs, abs=1e-3), joint.name
        assert character.action_scale[columns].tolist() == pytest.approx([scale] * joint.dofs, abs=1e-3), joint.name


def test_gains(character):
    model = character.model
    for joint, columns in zip(character.skeleton.joints, character.skeleton.dof_slices, strict=True):
        stiffness, damping, armature, strength = GAINS[kind_of(joint.name)]
        dofs = slice(int(model.joint(joint.name).dofadr[0]), int(model.joint(joint.name).dofadr[0]) + joint.dofs)
        np.testing.assert_allclose(model.actuator_gainprm[columns, 0], stiffness)
        np.testing.assert_allclose(model.actuator_biasprm[columns, :3], [[0, -stiffness, 0]] * joint.dofs, err_msg="position actuators without damping of their own")
        force = strength + FULL_STRENGTH_RAD_S * damping
        np.testing.assert_allclose(model.actuator_forcerange[columns], [[-force, force]] * joint.dofs)
        np.testing.assert_allclose(model.dof_damping[dofs], damping)
        np.testing.assert_allclose(model.dof_armature[dofs], armature + damping / 120, err_msg="damping is integrated implicitly")
        np.testing.assert_allclose(model.jnt_stiffness[model.joint(joint.name).id], 0)


def test_rest_pose_touches_nothing_and_stands_just_above_the_floor(character):
    data = mujoco.MjData(character.model)
    mujoco.mj_forward(character.model, data)
    assert data.ncon == 0
    state = random_state(character.skeleton, 1, swing=0.0)
    pos, mat = character.skeleton.forward_kinematics(
        torch.tensor([[0.0, 0.0, character.default_height_m]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.ones_like(state.joint_quat) * torch.tensor([1.0, 0.0, 0.0, 0.0])
    )
    assert character.skeleton.lowest_point(pos, mat).item() == pytest.approx(0.89 - 0.881, abs=1e-3)
    top = data.body("head").xpos[2] + 0.175 + 0.095
    assert top - 0.009 == pytest.approx(1.61, abs=0.01)


def test_targets_are_exponential_maps_in_dof_order(character):
    """Without gravity and floor, held targets are reached: a ball joint's three numbers are its rotation vector, a hinge's is its angle."""
    model = mujoco.MjModel.from_xml_path(str(ASSETS / "humanoid.xml"))
    model.opt.gravity[:] = 0
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
    data = mujoco.MjData(model)
    target = character.action_offset + 0.25 * character.action_scale * (2 * torch.rand(28, generator=torch.Generator().manual_seed(0)) - 1)
    data.ctrl[:] = target.numpy()
    for _ in range(1200):
        mujoco.mj_step(model, data)
    for joint, columns in zip(character.skeleton.joints, character.skeleton.dof_slices, strict=True):
        reached = torch.from_numpy(data.joint(joint.name).qpos.copy())
        reached = quat_log(reached) if joint.kind == "ball" else reached
        torch.testing.assert_close(reached.float(), target[columns], rtol=0, atol=0.01, msg=joint.name)


def test_a_knee_can_turn_as_fast_as_a_runners(character):
    """From bent to straight by target alone, hanging free: a run at 3.6 m/s needs 10 rad/s."""
    model = mujoco.MjModel.from_xml_path(str(ASSETS / "humanoid.xml"))
    model.opt.gravity[:] = 0
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
    data = mujoco.MjData(model)
    knee = model.joint("right_knee")
    fastest = 0.0
    for target in (2.3, 0.0):
        data.ctrl[model.actuator("right_knee").id] = target
        for _ in range(120):
            mujoco.mj_step(model, data)
            fastest = max(fastest, abs(data.qvel[knee.dofadr[0]]))
    assert fastest > 10.0


def test_random_targets_keep_a_simulation_finite(character):
    physics = CpuPhysics(character.model, 16, 1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        physics.step(character.action_offset + character.action_scale * (0.5 * torch.randn(16, 28, generator=generator)).clamp(-1, 1), 4)
    assert torch.isfinite(physics.qpos).all()
    assert physics.qvel.abs().max() < 100


def test_bodies_that_count_as_fallen(character):
    names = [character.skeleton.body_names[i] for i in character.fall_bodies]
    assert set(character.skeleton.body_names) - set(names) == {"right_foot", "left_foot"}
    heights = dict(zip(names, character.fall_heights.tolist(), strict=True))
    assert heights.pop("head") == pytest.approx(0.30)
    assert list(heights.values()) == pytest.approx([0.15] * 12)
    assert [character.model.sensor(k).name for k in range(character.model.nsensor)] == [f"touch_{n}" for n in names]
    assert [character.skeleton.body_names[i] for i in character.key_bodies] == ["right_hand", "left_hand", "right_foot", "left_foot"]


@pytest.fixture(scope="module")
def armed():
    return load_character("armed")


def test_the_armed_character_has_the_published_figures(armed, character):
    model = armed.model
    assert model.body_mass.sum() == pytest.approx(51.71, rel=0.01)
    assert model.body("sword").mass.item() == pytest.approx(0.701, rel=0.01)
    assert model.body("shield").mass.item() == pytest.approx(2.121, rel=0.01)
    assert (armed.num_actions, len(armed.skeleton.body_names), armed.skeleton.num_dofs) == (31, 17, 31)
    names = [joint.name for joint in armed.skeleton.joints]
    assert [name for name in names if name != "right_wrist"] == [joint.name for joint in character.skeleton.joints]
    assert names.index("right_wrist") == names.index("right_elbow") + 1
    wrist = armed.skeleton.dof_slices[names.index("right_wrist")]
    assert armed.action_scale[wrist].tolist() == pytest.approx([1.885] * 3, abs=1e-3)
    assert [armed.skeleton.body_names[i] for i in armed.key_bodies][-2:] == ["sword", "shield"]


def test_the_armed_character_stands_free_of_itself_and_points_its_sword_forward(armed):
    data = mujoco.MjData(armed.model)
    mujoco.mj_forward(armed.model, data)
    touching = {frozenset(armed.model.geom(g).name for g in pair) for pair in data.contact.geom}
    assert all("floor" in pair for pair in touching), touching
    hand, tip = data.body("right_hand").xpos, data.body("sword").xpos
    assert (tip - hand).tolist() == pytest.approx([0.74, 0.0, 0.0])


def test_the_armed_character_has_no_mirror_image(armed):
    assert mirror_map(armed) is None


def test_physics_step_is_the_given_one_and_a_diverged_state_stays_visible():
    model = load_character(sim_dt=0.004).model
    assert model.opt.timestep == 0.004
    data = mujoco.MjData(model)
    data.qvel[:] = np.nan
    mujoco.mj_step(model, data)
    assert np.isnan(data.qpos).any()


TINY = """<mujoco>
  <compiler angle="radian" autolimits="true"/>
  <worldbody>
    {floor}
    <body name="trunk" pos="0 0 1">{root}<geom size=".1"/>
      <body name="arm" pos="0 0 .3"{turn}>{joint}<geom type="capsule" size=".05" fromto="0 0 .1 0 0 .3"/>
        <body name="tip" pos="0 0 .4"><joint name="wrist" type="ball" range="0 1"/><geom size=".05"/></body>
      </body>
    </body>
  </worldbody>
  <actuator>{actuators}</actuator>
</mujoco>"""
PARTS = {
    "floor": '<geom type="plane" size="0 0 1"/>',
    "root": "<freejoint/>",
    "turn": "",
    "joint": '<joint name="elbow" axis="1 0 0" range="-1 2"/>',
    "actuators": '<position joint="elbow" kp="1"/>' + "".join(f'<position joint="wrist" gear="{g}" kp="1"/>' for g in ("1 0 0", "0 1 0", "0 0 1")),
}


def tiny(tmp_path: Path, key_bodies=("tip",), foot_bodies=("arm",), fall_heights_m=(("tip", 0.5),), **parts):
    path = tmp_path / "tiny.xml"
    path.write_text(TINY.format(**PARTS | parts))
    return load_character("tiny", spec=CharacterSpec(str(path), key_bodies, foot_bodies, fall_height_m=0.2, fall_heights_m=fall_heights_m))


def test_another_character_needs_only_its_file_and_spec(tmp_path):
    tiny_character = tiny(tmp_path)
    assert tiny_character.skeleton.body_names == ("trunk", "arm", "tip")
    assert tiny_character.skeleton.joint_names == ("elbow", "wrist")
    assert tiny_character.action_offset.tolist() == pytest.approx([0.5, 0, 0, 0])
    assert tiny_character.action_scale.tolist() == pytest.approx([2.1, 1.2, 1.2, 1.2])
    assert tiny_character.fall_bodies.tolist() == [0, 2]
    assert tiny_character.fall_heights.tolist() == pytest.approx([0.2, 0.5])
    assert tiny_character.default_height_m == 1.0


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"floor": ""}, r"character tiny: .*tiny\.xml has no floor plane; expected both"),
        ({"root": ""}, r"character tiny: .*tiny\.xml has no free root joint; expected both"),
        ({"key_bodies": ("tip", "tail")}, r"character tiny: body tail: not in .*tiny\.xml\. Available: trunk, arm, tip"),
        ({"foot_bodies": ("hoof",)}, r"body hoof: not in"),
        ({"fall_heights_m": (("horn", 1.0),)}, r"body horn: not in"),
        ({"turn": ' euler="0 0 1"'}, r"character tiny: body arm: got 1 joints or a turned frame; expected at most one ball or hinge joint"),
        ({"joint": PARTS["joint"] + '<joint name="second" axis="0 1 0" range="0 1"/>'}, r"body arm: got 2 joints"),
        ({"joint": '<joint name="elbow" type="slide" range="0 1"/>'}, r"body arm: got 1 joints"),
        ({"joint": '<joint name="elbow" axis="1 0 0" pos="0 0 .1" range="0 1"/>'}, r"body arm: got 1 joints"),
        ({"actuators": PARTS["actuators"].replace('<position joint="elbow" kp="1"/>', "")}, r"actuators: got 3; expected 4, one a degree of freedom in joint order"),
        (
            {"actuators": "".join(f'<position joint="{j}" kp="1"/>' for j in ("wrist", "elbow", "wrist", "wrist"))},
            r"character tiny: actuators 0 to 0: drive wrist; expected joint elbow",
        ),
    ],
)
def test_an_unusable_character_is_refused_by_name(tmp_path, parts, message):
    with pytest.raises(ValueError, match=message):
        tiny(tmp_path, **parts)


def test_unknown_names_and_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"character humanoyd: unknown\. Available: humanoid, armed"):
        load_character("humanoyd")
    with pytest.raises(ValueError, match=r"character x: file .*none\.xml not found"):
        load_character("x", spec=CharacterSpec(str(tmp_path / "none.xml"), (), ()))


def test_pi_is_the_widest_target(character):
    assert character.action_scale.max().item() == pytest.approx(math.pi)


def test_stiffness_multiplies_what_joints_answer_with():
    """Torques of actuators and damping in the same state, weak and beyond their strength, are as many times as large; the free root has none."""
    torques = []
    for factor in (1.0, 3.0):
        model = load_character(stiffness=factor).model
        data = mujoco.MjData(model)
        data.qvel[:] = np.linspace(-1.0, 1.0, model.nv)
        data.ctrl[:] = np.linspace(-0.5, 9.0, model.nu)
        mujoco.mj_forward(model, data)
        torques.append(np.concatenate((data.qfrc_actuator[6:], data.qfrc_passive[6:])))
    np.testing.assert_allclose(torques[1], 3 * torques[0])
    assert np.abs(torques[0]).min() > 0


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan")])
def test_a_stiffness_that_is_none_is_refused(factor):
    with pytest.raises(ValueError, match=f"character humanoid: stiffness: got {factor:g}; expected more than 0"):
        load_character(stiffness=factor)


def implicitfast(model):
    """A copy of ``model`` whose damping MuJoCo integrates."""
    other = copy.copy(model)
    other.dof_armature -= other.opt.timestep * other.dof_damping
    other.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    other.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_EULERDAMP)
    return other


def test_damping_is_implicit_where_nothing_touches(character):
    """The same steps as MuJoCo's own implicit integrator makes, in the air; not those of explicit damping, which would blow up."""
    mine = copy.copy(character.model)
    mine.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)  # limits differ as contacts do
    other = implicitfast(mine)
    ours, theirs = mujoco.MjData(mine), mujoco.MjData(other)
    rng = np.random.default_rng(0)
    for data in (ours, theirs):
        data.qpos[2] = 10.0
        data.qvel[:] = np.random.default_rng(1).normal(size=data.qvel.shape)
    for _ in range(30):
        ours.ctrl[:] = theirs.ctrl[:] = 0.3 * rng.normal(size=ours.ctrl.shape)
        mujoco.mj_step(mine, ours)
        mujoco.mj_step(other, theirs)
    assert np.abs(ours.qvel[6:]).max() > 0.5
    np.testing.assert_allclose(ours.qpos, theirs.qpos, atol=1e-6)


def test_feet_that_press_do_not_sink(character):
    """Going on tiptoe, half a second from rest: contacts know what inertia the servos' damping adds, which MuJoCo's implicit integrators do not tell them."""

    def sinks(model) -> float:
        data, deepest = mujoco.MjData(model), 0.0
        for step in range(84):
            data.ctrl[[model.actuator(f"{side}_ankle_y").id for side in ("left", "right")]] = 0.3 if step >= 60 else 0.0
            mujoco.mj_step(model, data)
            deepest = min([deepest, *data.contact.dist])
        return -deepest

    assert sinks(implicitfast(character.model)) > 0.02
    assert sinks(character.model) < 0.004
