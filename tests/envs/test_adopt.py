"""Other people's MJCF as characters: the same body in the suite's frames, names and joints."""

import re
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from envs.adopt import FAST_RAD_S, adopt, cmu_humanoid
from envs.character import SKELETONS, load_character
from envs.mirror import _hinge_sign, mirror_map
from envs.physics_cpu import CpuPhysics
from envs.resets import StartMix
from motions import synthetic
from motions.library import MotionLibrary
from tests.envs.helpers import make_env

OWN = Path(__file__).parents[2] / "envs" / "assets" / "humanoid.xml"
STICK = '<geom size=".05" fromto="0 0 0 0 .2 0" type="capsule"/>'
LIMBS = ("upper_arm", "lower_arm", "hand", "thigh", "shin", "foot")


def foreign(joints="", geom=STICK, actuators=True, bodies=("hips", "chest")):
    """A y-up stick man that looks along z, in a frame turned about its own axes, with three hinges in the hips, motors, and a mesh-free body."""
    pelvis, chest = bodies
    hinges = {"thigh": "xyz", "shin": "x", "foot": "xz", "upper_arm": "xyz", "lower_arm": "y", "hand": ""}
    offsets = {"upper_arm": (0.2, 0.2, 0.0), "lower_arm": (0.3, 0, 0), "hand": (0.25, 0, 0), "thigh": (0.1, 0, 0), "shin": (0, -0.4, 0), "foot": (0, -0.4, 0)}
    axes = {"x": "1 0 0", "y": "0 1 0", "z": "0 0 1"}
    motors = []

    def limb(side, parts):
        if not parts:
            return ""
        part, sign = parts[0], 1 if side == "l" else -1
        x, y, z = offsets[part]
        own = joints if part == "shin" and joints and side == "l" else ""
        for axis in "" if own else hinges[part]:
            own += f'<joint name="{side}_{part}_{axis}" axis="{axes[axis]}" range="-60 80" limited="true"/>'
            motors.append(f'<motor joint="{side}_{part}_{axis}" gear="50" ctrlrange="-2 2" ctrllimited="true"/>')
        return f'<body name="{side}_{part}" pos="{sign * x} {y} {z}" euler="0 {20 * sign} 0">{own}{geom}{limb(side, parts[1:])}</body>'

    arms, legs = LIMBS[:3], LIMBS[3:]
    tree = f'<body name="{pelvis}" pos="0 1 0"><freejoint/>{geom}<body name="{chest}" pos="0 .3 0"><joint name="spine" axis="1 0 0" range="-30 30" limited="true"/>{geom}'
    motors.append('<motor joint="spine" gear="100"/>')
    tree += f'<body name="head" pos="0 .3 0">{geom}</body>{limb("l", arms)}{limb("r", arms)}</body>{limb("l", legs)}{limb("r", legs)}</body>'
    return f"<mujoco><worldbody>{tree}</worldbody><actuator>{''.join(motors) if actuators else ''}</actuator></mujoco>"


@pytest.fixture(scope="module")
def adopted():
    return adopt(foreign(), SKELETONS, "stick man")


def whole(model, root):
    """Mass, centre and inertia about it of a tree in its rest pose."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    mass, centre = model.body_subtreemass[root], data.subtree_com[root]
    inertia = np.zeros((3, 3))
    for b in np.flatnonzero(model.body_rootid == root):
        turn, arm = data.ximat[b].reshape(3, 3), data.xipos[b] - centre
        inertia += turn @ np.diag(model.body_inertia[b]) @ turn.T + model.body_mass[b] * (arm @ arm * np.eye(3) - np.outer(arm, arm))
    return mass, centre - data.xpos[root], inertia


@pytest.mark.parametrize("text", [foreign(), None], ids=["stick man", "cmu"])
def test_mass_and_inertia_are_the_models_own(text):
    text = text or cmu_humanoid()
    old, new = mujoco.MjModel.from_xml_string(text), adopt(text, SKELETONS, "it").spec.compile()
    (mass, centre, inertia), (new_mass, new_centre, new_inertia) = whole(old, 1), whole(new, new.body("pelvis").id)
    turn = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])  # forward was z, left x, up y
    assert new_mass == pytest.approx(mass, rel=1e-6)
    np.testing.assert_allclose(new_centre, turn @ centre, atol=1e-6)
    np.testing.assert_allclose(new_inertia, turn @ inertia @ turn.T, rtol=1e-5, atol=1e-6)


def apart(text):
    """Pairs of bodies that an adopted model excludes from contact."""
    model = adopt(text, SKELETONS, "it").spec.compile()
    return {frozenset((model.body(int(pair) >> 16).name, model.body(int(pair) & 0xFFFF).name)) for pair in model.exclude_signature}


def test_bodies_that_do_not_touch_in_their_own_model_do_not_touch_here():
    text = foreign()
    assert apart(text) == set()
    thighs = frozenset(("left_thigh", "right_thigh"))
    assert apart(text.replace("</mujoco>", '<contact><exclude body1="r_thigh" body2="l_thigh"/></contact></mujoco>')) == {thighs}
    masked = '<geom size=".05" fromto="0 0 0 0 .2 0" type="capsule" contype="2" conaffinity="1"/>'
    one_way = text.replace(f'<body name="head" pos="0 .3 0">{STICK}', f'<body name="head" pos="0 .3 0">{masked}')
    assert apart(one_way) == set(), "its own mask lets it touch those that ask for it"
    unseen = apart(one_way.replace('contype="2" conaffinity="1"', 'contype="2" conaffinity="4"'))
    assert len(unseen) == 14
    assert all("head" in pair for pair in unseen), "it touches nobody"


def test_bodies_that_overlap_in_the_rest_pose_do_not_tear_each_other_apart():
    head, tail = foreign().split('<body name="l_thigh"')
    wide = head + '<body name="l_thigh"' + tail.replace(STICK, '<geom type="box" size=".2 .05 .05"/>', 1)
    assert apart(wide) == {frozenset(("left_thigh", "right_thigh"))}


def test_cmus_neck_and_clavicles_stay_where_they_are():
    """They lie in each other by up to 14 cm; dm_control's model excludes them from contact."""
    character = load_character("cmu")
    assert {frozenset(("lowerneck", "left_clavicle")), frozenset(("left_clavicle", "right_clavicle"))} <= apart(cmu_humanoid())
    library = MotionLibrary([synthetic.constant_velocity(character.skeleton)], character.skeleton)
    env = make_env(character, library, 1, start=StartMix(clip=0.0, default=1.0), terminate_on_fall=False, physics=CpuPhysics(character.model, 1, 1))
    env.reset()
    for _ in range(15):
        env.step(env.rest_action.expand(1, -1))
    clavicles = [k for k, name in enumerate(character.skeleton.joint_names) if "clavicle" in name]
    assert 2 * env.state.joint_quat[0, clavicles, 1:].norm(dim=-1).max() < 0.3, "rad; gravity turns them by 0.2, contact by 0.6"


def test_bodies_have_the_suites_names_and_frames(adopted):
    model = adopted.spec.compile()
    names = [model.body(b).name for b in range(1, model.nbody)]
    assert set(names) == {"pelvis", "torso", "head", *(f"{side}_{limb}" for side in ("left", "right") for limb in LIMBS)}
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    np.testing.assert_allclose(data.xquat[1:], [[1, 0, 0, 0]] * (model.nbody - 1), atol=1e-9)
    place = {name: data.body(name).xpos for name in names}
    assert place["left_foot"][1] > place["pelvis"][1] > place["right_foot"][1]
    assert place["head"][2] > place["pelvis"][2] > place["left_foot"][2] > 0
    assert adopted.key_bodies == ("left_hand", "right_hand", "left_foot", "right_foot")
    assert adopted.foot_bodies == ("left_foot", "right_foot")


def test_hinges_become_balls_and_motors_become_servos(adopted):
    model = adopted.spec.compile()
    kinds = {model.joint(j).name: int(model.jnt_type[j]) for j in range(model.njnt)}
    ball, hinge = int(mujoco.mjtJoint.mjJNT_BALL), int(mujoco.mjtJoint.mjJNT_HINGE)
    assert [kinds[name] for name in ("left_thigh", "left_foot", "left_shin", "torso")] == [ball, ball, hinge, hinge]
    assert "left_hand" not in kinds, "welded in the original"
    assert model.joint("left_thigh").range[1] == pytest.approx(np.deg2rad(80 * 3**0.5)), "three hinges at their ends"
    np.testing.assert_allclose(model.joint("left_shin").range, np.deg2rad([-60, 80]))
    np.testing.assert_allclose(np.abs(model.joint("left_shin").axis), [np.sin(np.deg2rad(40)), np.cos(np.deg2rad(40)), 0], atol=1e-6)
    servo = model.actuator("left_thigh_y")
    assert servo.gainprm[0] == pytest.approx(100.0), "gear 50 times control 2, for a radian"
    assert model.dof_damping[model.joint("left_thigh").dofadr[0]] == pytest.approx(10.0)
    np.testing.assert_allclose(servo.forcerange, [-100 - FAST_RAD_S * 10, 100 + FAST_RAD_S * 10])
    assert model.actuator("torso").gainprm[0] == pytest.approx(100.0)


def test_the_suites_own_body_is_adopted_as_it_is(character):
    model = adopt(OWN, SKELETONS).spec.compile()
    own = character.model
    assert (model.nq, model.nv, model.nu, model.nbody) == (own.nq, own.nv, own.nu, own.nbody)
    for name in character.skeleton.body_names:
        np.testing.assert_allclose(model.body(name).mass, own.body(name).mass, rtol=1e-6)
        if name != "pelvis":
            np.testing.assert_allclose(model.body(name).pos, own.body(name).pos, atol=1e-6)
    np.testing.assert_allclose(model.actuator_gainprm[:, 0], own.actuator_gainprm[:, 0])
    np.testing.assert_allclose(model.dof_damping, own.dof_damping)


@pytest.mark.parametrize("name", ["stick man", "cmu"])
def test_an_adopted_character_lives_in_the_environment(name, tmp_path):
    path = tmp_path / "man.xml"
    path.write_text(foreign())
    character = load_character("cmu" if name == "cmu" else str(path))
    clip = synthetic.constant_velocity(character.skeleton, height_m=character.default_height_m)
    library = MotionLibrary([clip], character.skeleton)
    env = make_env(character, library, 8, start=StartMix(clip=0.5, default=0.5), physics=CpuPhysics(character.model, 8, 1))
    env.reset()
    feet = character.skeleton.lowest_point(env.state.body_pos_w, env.state.body_mat_w)
    assert feet.min() == pytest.approx(0.0, abs=0.02)
    for _ in range(10):
        step = env.step(env.rest_action.expand(8, -1))
    assert torch.isfinite(step.obs).all()
    assert env.num_diverged == 0
    assert step.disc_obs.shape[-1] == character.num_actions + 13 + env.layout.num_joint_columns + 12


def test_the_cmu_humanoid_has_a_mirror_image_and_toes():
    character = load_character("cmu")
    assert character.model.body_mass.sum() == pytest.approx(70.0, abs=0.01)
    names = character.skeleton.body_names
    assert {names[k] for k in character.foot_bodies} == {"left_foot", "right_foot", "left_toes", "right_toes"}
    found = mirror_map(character)
    assert found is not None
    index = [joint.name for joint in character.skeleton.joints].index("left_wrist")
    column = character.skeleton.dof_slices[index].start
    assert found.action_sign[column] == -1, "its axis is the opposite of the reflection of the other one's"


def test_a_hinge_in_the_mirror():
    assert _hinge_sign((0.0, 1.0, 0.0), (0.0, 1.0, 0.0)) == 1.0
    assert _hinge_sign((0.6, 0.0, 0.8), (-0.6, 0.0, -0.8)) == 1.0
    assert _hinge_sign((0.0, 1.0, 0.0), (0.0, -1.0, 0.0)) == -1.0
    assert _hinge_sign((1.0, 0.0, 0.0), (1.0, 0.0, 0.0)) == -1.0
    assert _hinge_sign((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)) == 0.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<mujoco><worldbody/></mujoco>", "got trees of no bodies; expected one of at least 11: a humanoid"),
        ("<mujoco><worldbody><nonsense/></worldbody></mujoco>", "not a valid MJCF file: "),
        (foreign(actuators=False), "joint spine: no actuator; expected a motor or position actuator for every joint"),
        (foreign(joints='<joint name="slip" type="slide"/>'), "body l_shin: joint slip: got slide; expected hinges or a ball"),
        (
            foreign(joints='<joint name="a" axis="1 0 0"/><joint name="b" axis="0 1 0" pos="0 .1 0"/>'),
            r"body l_shin: got joints at \[\[0.0, 0.0, 0.0\], \[0.0, 0.1, 0.0\]\]; expected all at one place",
        ),
        (foreign(bodies=("thing", "chest")), "no body is known for pelvis; expected names as in a skeleton map"),
    ],
)
def test_what_cannot_be_adopted_is_said_in_one_line_that_names_it(text, expected, tmp_path):
    path = tmp_path / "other.xml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"character {re.escape(str(path))}: .*{expected}"):
        load_character(str(path))


def test_a_shape_without_a_closed_form_is_refused(tmp_path):
    path = tmp_path / "other.xml"
    asset = '<asset><mesh name="m" vertex="0 0 0 1 0 0 0 1 0 0 0 1"/></asset><worldbody>'
    path.write_text(foreign(geom='<geom type="mesh" mesh="m"/>').replace("<worldbody>", asset))
    with pytest.raises(ValueError, match="body hips: geom 0: got mesh; expected sphere, capsule, cylinder, box or ellipsoid"):
        load_character(str(path))


def test_a_character_that_is_no_name_and_no_file():
    with pytest.raises(ValueError, match=r"character elf: unknown\. Available: humanoid, armed, cmu, or a path that ends in \.xml"):
        load_character("elf")
    with pytest.raises(ValueError, match=r"character elf\.xml: file not found"):
        load_character("elf.xml")
