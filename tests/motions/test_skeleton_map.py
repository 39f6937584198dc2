"""Skeleton maps: names, guesses, strict loading, and what an unknown skeleton gets told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from motions.formats.beyondmimic import G1
from motions.formats.smpl import JOINTS
from motions.skeleton_map import BODIES, REQUIRED, choose_map, guess_map, load_map, plain_name, plain_names

SHIPPED = Path(__file__).parents[2] / "cfg" / "skeletons"
SIDES = ("Left", "Right")
MIXAMO = (
    *("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head"),
    *(f"{s}{j}" for s in SIDES for j in ("Shoulder", "Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot", "ToeBase")),
)
CMU = ("root", "thorax", "head", *(f"{s}{j}" for s in "lr" for j in ("femur", "tibia", "foot", "clavicle", "humerus", "radius", "wrist", "hand")))
OLD = ("Hips", "Chest", "Neck", "Head", *(f"{s}{j}" for s in SIDES for j in ("Collar", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")))
BIPED = (
    *("Bip01", "Bip01 Pelvis", "Bip01 Spine1", "Bip01 Head"),
    *(f"Bip01 {s} {j}" for s in "LR" for j in ("Clavicle", "UpperArm", "Forearm", "Hand", "Thigh", "Calf", "Foot")),
)


@pytest.mark.parametrize(
    ("name", "plain"), [("mixamorig:LeftUpLeg", "leftupleg"), ("Bip01 L Thigh", "lthigh"), ("a|b:Hand.L", "handl"), ("mixamorig9:Hips", "hips"), ("Bip01", "bip01")]
)
def test_plain_names(name, plain):
    assert plain_name(name) == plain


def test_a_beginning_that_all_share_is_cut_off():
    assert plain_names(["Hero_Hips", "Hero_Head", "Hero_Left_Foot", "Hero_RightFoot"]) == ["hips", "head", "leftfoot", "rightfoot"]
    assert plain_names(["left_hip", "left_knee"]) == ["lefthip", "leftknee"]  # too few to tell


def test_of_several_joints_alike_the_first_is_taken():
    assert guess_map((*MIXAMO, "rope:Hips"))["pelvis"] == "Hips"


@pytest.mark.parametrize(
    ("names", "name", "picked"),
    [
        (MIXAMO, "mixamo", {"torso": "Spine2", "left_thigh": "LeftUpLeg", "right_shin": "RightLeg", "left_upper_arm": "LeftArm"}),
        (tuple(f"mixamorig:{n}" for n in MIXAMO), "mixamo", {"pelvis": "mixamorig:Hips", "right_lower_arm": "mixamorig:RightForeArm"}),
        (tuple(n.upper() for n in MIXAMO), "mixamo", {"pelvis": "HIPS"}),
        (tuple(n.replace("ToeBase", "Toe") for n in MIXAMO), "lafan1", {"torso": "Spine2"}),
        ((*MIXAMO, "LHipJoint", "RHipJoint"), "cmu_bvh", {"torso": "Spine1"}),
        (CMU, "cmu", {"pelvis": "root", "torso": "thorax", "left_upper_arm": "lhumerus", "right_hand": "rhand"}),
        (tuple(JOINTS), "smpl", {"torso": "spine3", "left_foot": "left_ankle", "right_upper_arm": "right_shoulder"}),
        (OLD, "biovision", {"left_thigh": "LeftHip", "left_upper_arm": "LeftShoulder", "torso": "Chest"}),
        (BIPED, "biped", {"pelvis": "Bip01 Pelvis", "left_thigh": "Bip01 L Thigh"}),
        (BODIES, "humanoid", {b: b for b in BODIES}),
        (G1, "g1", {"left_shin": "left_knee_link", "torso": "torso_link"}),
        (("pelvis", "head", *(f"{s}{j}" for s in "lr" for j in ("toe", "heel", "knee", "hand", "elbow", "shoulder", "hip", "ankle"))), "mjpc", {"left_foot": "lankle"}),
    ],
)
def test_the_map_that_fits_is_chosen(names, name, picked):
    chosen, joints = choose_map(names, SHIPPED)
    assert chosen.name == name
    assert picked.items() <= joints.items()
    assert set(joints.values()) <= set(names)


@pytest.mark.parametrize("names", [MIXAMO, CMU, tuple(JOINTS), OLD, BIPED, BODIES])
def test_guesses_agree_with_the_shipped_maps_on_all_limbs(names):
    joints, guess = choose_map(names, SHIPPED)[1], guess_map(names)
    assert {b: guess.get(b) for b in REQUIRED} == {b: joints[b] for b in REQUIRED}


def test_an_unknown_skeleton_gets_a_table_a_guess_and_what_to_do():
    names = ("pelvis", "l_thigh", "l_shin", "l_foot", "l_foot_end", "tail")
    with pytest.raises(ValueError, match=r"skeleton of 6 joints: no map fits; expected the joints of one of these. Available: biovision, biped, cmu, cmu_bvh") as error:
        choose_map(names, SHIPPED, (-1, 0, 1, 2, 3, 0))
    lines = str(error.value).splitlines()
    assert "  pelvis                                   pelvis" in lines
    assert "        l_foot                             left_foot" in lines
    assert "    tail" in lines
    assert not any("l_foot_end" in line for line in lines)
    assert "no guess for right_upper_arm" in str(error.value)
    assert "pass it with --map my_rig.yaml" in str(error.value)
    assert "    left_shin: l_shin" in lines
    assert "    right_shin: ?" in lines


def test_the_guess_of_the_text_is_a_valid_map(tmp_path):
    names = [f"x{n}" if n == "Head" else n for n in MIXAMO]
    with pytest.raises(ValueError, match="all required bodies guessed: check them") as error:
        choose_map(names, tmp_path, None)
    text = str(error.value)
    (tmp_path / "my_rig.yaml").write_text("\n".join(line[2:] for line in text[text.index("  bodies:\n") :].splitlines()))
    assert choose_map(names, tmp_path)[1]["left_foot"] == "LeftFoot"


GOOD = "bodies:\n" + "".join(f"  {b}: {b}\n" for b in BODIES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML: "),
        ("[1]", "got list; expected `bodies:` with a line `body: joint` each. Available: about, bodies, needs"),
        ("bodies: 3", "got bodies 3; expected `bodies:`"),
        (GOOD + "bodys: 3", "key bodys: unknown. Closest: bodies. Available: about, bodies, needs"),
        (GOOD + "  left_shn: a", "body left_shn: unknown. Closest: left_shin. Available: pelvis, right_upper_arm"),
        (GOOD.replace("  left_shin: left_shin\n", ""), "body left_shin: missing; expected all of pelvis, "),
        (GOOD.replace("  head: head", "  head: 3"), "body head: got 3; expected a joint's name or a list of names"),
        (GOOD.replace("  head: head", "  head: []"), r"body head: got \[\]; expected a joint's name"),
        (GOOD + "needs: {a: 1}", "needs: got {'a': 1}; expected a joint's name"),
    ],
)
def test_bad_maps_are_refused(tmp_path, text, message):
    path = tmp_path / "rig.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(f"skeleton map {path}: ") + message):
        load_map(path, tmp_path)


def test_maps_are_found_by_name_or_path(tmp_path):
    (tmp_path / "rig.yaml").write_text(GOOD + "needs: tail\nabout: mine")
    rig = load_map("rig", tmp_path)
    assert (rig.name, rig.needs, rig.about, rig.bodies["head"]) == ("rig", ("tail",), "mine", ("head",))
    assert not rig.fits(BODIES)
    assert rig.fits((*BODIES, "ns:Tail"))
    with pytest.raises(ValueError, match=r"skeleton map rag: not found. Available: rig, or a path that ends in .yaml"):
        load_map("rag", tmp_path)
