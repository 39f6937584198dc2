"""`Marker`: something drawn in a picture beside the characters."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("arrow", "ball", "post")


@dataclass(frozen=True)
class Marker:
    """An ``arrow`` from ``pos`` to ``to``, a ``ball`` at ``pos``, or a ``post``: an upright cylinder from ``pos`` to ``to``. World frame, metres."""

    kind: str
    pos: tuple[float, float, float]
    to: tuple[float, float, float] = (0.0, 0.0, 0.0)
    radius_m: float = 0.05
    rgb: tuple[float, float, float] = (0.86, 0.16, 0.16)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"marker {self.kind}: unknown. Available: {', '.join(KINDS)}")
