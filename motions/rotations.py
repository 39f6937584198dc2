"""Quaternion algebra on torch tensors.

Quaternions are ``(w, x, y, z)``, unit length, with free leading dimensions ``[..., 4]``; they rotate vectors from the local frame to the parent
frame. Rotation vectors ``[..., 3]`` are axis times angle in radians. The world is z-up; *heading* is the yaw of the rotated x axis.
"""

from __future__ import annotations

import torch
from torch import Tensor

_EPS = 1e-9


def _join(*components: Tensor) -> Tensor:
    """Components as the last dimension, each contiguous in memory: the next function unbinds them again at full vector speed."""
    return torch.stack(components).movedim(0, -1)


def quat_mul(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product ``a ⊗ b``: rotate by ``b`` first, then by ``a``. ``[..., 4]``, broadcasting."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return _join(
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def quat_conj(q: Tensor) -> Tensor:
    """The inverse of a unit quaternion, ``[..., 4]``."""
    return torch.cat((q[..., :1], -q[..., 1:]), dim=-1)


def quat_normalize(q: Tensor) -> Tensor:
    """``q / |q|``, ``[..., 4]``."""
    return q / q.norm(dim=-1, keepdim=True).clamp_min(_EPS)


def quat_rotate(q: Tensor, v: Tensor) -> Tensor:
    """Rotates vectors ``v [..., 3]`` by ``q [..., 4]`` (local to parent frame)."""
    w, x, y, z = q.unbind(-1)
    a, b, c = v.unbind(-1)
    s, t, u = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    return _join(a + w * s + y * u - z * t, b + w * t + z * s - x * u, c + w * u + x * t - y * s)


def quat_rotate_inverse(q: Tensor, v: Tensor) -> Tensor:
    """Rotates vectors ``v [..., 3]`` by the inverse of ``q [..., 4]`` (parent to local frame)."""
    return quat_rotate(quat_conj(q), v)


def quat_exp(rotvec: Tensor) -> Tensor:
    """Exponential map: rotation vector ``[..., 3]`` in radians to quaternion ``[..., 4]``."""
    half = 0.5 * rotvec
    angle = half.norm(dim=-1, keepdim=True)
    # sin(x)/x, accurate at zero.
    return torch.cat((angle.cos(), half * torch.sinc(angle / torch.pi)), dim=-1)


def quat_log(q: Tensor) -> Tensor:
    """Logarithmic map: quaternion ``[..., 4]`` to the shortest rotation vector ``[..., 3]``, ``|v| <= pi``."""
    q = torch.where(q[..., :1] < 0, -q, q)
    w, u = q[..., :1], q[..., 1:]
    sin = u.norm(dim=-1, keepdim=True)
    angle = 2.0 * torch.atan2(sin, w)
    # Near zero angle/sin -> 2.
    return u * torch.where(sin > 1e-6, angle / sin.clamp_min(_EPS), 2.0)


def quat_slerp(a: Tensor, b: Tensor, blend: Tensor) -> Tensor:
    """Spherical interpolation from ``a`` (``blend = 0``) to ``b`` (``blend = 1``) along the shorter arc. ``blend`` is ``[..., 1]``."""
    t = blend.squeeze(-1)
    dot = (a * b).sum(-1)
    angle = torch.acos(dot.abs().clamp(max=1.0))
    sin = angle.sin()
    near = sin < 1e-3
    safe = torch.where(near, 1.0, sin)
    wa = torch.where(near, 1.0 - t, ((1.0 - t) * angle).sin() / safe)
    wb = torch.where(near, t, (t * angle).sin() / safe) * torch.where(dot < 0, -1.0, 1.0)
    return quat_normalize(wa.unsqueeze(-1) * a + wb.unsqueeze(-1) * b)


def quat_to_tan_norm(q: Tensor) -> Tensor:
    """The rotated x axis and the rotated z axis, ``[..., 4] -> [..., 6]``: a continuous code of a rotation."""
    w, x, y, z = q.unbind(-1)
    return _join(
        1 - 2 * (y * y + z * z),
        2 * (x * y + w * z),
        2 * (x * z - w * y),
        2 * (x * z + w * y),
        2 * (y * z - w * x),
        1 - 2 * (x * x + y * y),
    )


def quat_to_mat(q: Tensor) -> Tensor:
    """Rotation matrices, ``[..., 4] -> [..., 3, 3]``; the columns are the rotated axes."""
    w, x, y, z = q.unbind(-1)
    x2, y2, z2 = 2 * x, 2 * y, 2 * z
    xx, yy, zz, xy, xz, yz, wx, wy, wz = x * x2, y * y2, z * z2, x * y2, x * z2, y * z2, w * x2, w * y2, w * z2
    rows = (1 - (yy + zz), xy - wz, xz + wy, xy + wz, 1 - (xx + zz), yz - wx, xz - wy, yz + wx, 1 - (xx + yy))
    return torch.stack(rows).unflatten(0, (3, 3)).movedim((0, 1), (-2, -1))


def heading(q: Tensor) -> Tensor:
    """Yaw in radians of the rotated x axis, ``[..., 4] -> [...]``."""
    w, x, y, z = q.unbind(-1)
    return torch.atan2(2 * (x * y + w * z), 1 - 2 * (y * y + z * z))


def yaw_quat(yaw: Tensor) -> Tensor:
    """The rotation about world z by ``yaw`` radians, ``[...] -> [..., 4]``."""
    half, zero = 0.5 * yaw, torch.zeros_like(yaw)
    return _join(half.cos(), zero, zero, half.sin())


def heading_quat(q: Tensor) -> Tensor:
    """The pure yaw rotation that carries the heading frame of ``q`` to the world, ``[..., 4]``."""
    return yaw_quat(heading(q))


def axis_angle_quat(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotation about unit ``axis [..., 3]`` by ``angle [...]`` radians, ``[..., 4]``."""
    half = 0.5 * angle
    sin = half.sin()
    return _join(half.cos(), *(a * sin for a in axis.unbind(-1)))


def twist_angle(q: Tensor, axis: Tensor) -> Tensor:
    """The signed angle in radians, in [-pi, pi), of the part of ``q [..., 4]`` that turns about unit ``axis [..., 3]``."""
    angle = 2.0 * torch.atan2((q[..., 1:] * axis).sum(-1), q[..., 0])
    return torch.remainder(angle + torch.pi, 2 * torch.pi) - torch.pi


def make_continuous(q: Tensor) -> Tensor:
    """Flips signs along dim 0 so that neighbours ``q[t], q[t+1]`` lie on the same hemisphere; ``[T, ..., 4]``."""
    dots = (q[1:] * q[:-1]).sum(-1, keepdim=True)
    flips = torch.where(dots < 0, -1.0, 1.0).cumprod(0)
    return torch.cat((q[:1], q[1:] * flips.to(q.dtype)), dim=0)
