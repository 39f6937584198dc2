"""What skills are read by: the encoder, taught once more when a training is over.

While a training lasts, the encoder sees each window once, of a policy that changes and acts with noise. What is saved acts without noise, and may be a mean of many policies
(`ase.ppo.PpoConfig.average_samples`): latents of the same clip, which differ by little, can be told apart in what it does, by an encoder that was taught on that.

Shapes: ``W`` windows, ``H`` history frames, ``F`` features, ``Z`` latent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ase.descent import Descent
from ase.losses import encoder_loss
from ase.style import Demos, Style

LR, LAST_LR = 1e-3, 5e-5  # Adam's step size falls linearly
BATCH, DEMO_BATCH = 2048, 512  # windows of the policy and of the clips in a gradient step


@dataclass(frozen=True)
class ReadConfig:
    """Attributes:
    windows: of what is saved as trained, acting without noise, that the encoder is taught on when a training has come to its end; 0: it is not.
    seconds: length of the rollouts that they are of. updates: gradient steps.
    """

    windows: int = 200_000
    seconds: float = 6.0
    updates: int = 1500

    def __post_init__(self) -> None:
        if self.windows < 0 or self.seconds <= 0 or self.updates < 1:
            raise ValueError(f"read: got windows {self.windows}, seconds {self.seconds:g}, updates {self.updates}; expected at least 0, more than 0 and at least 1")


def learn_to_read(style: Style, seen: Tensor, latents: Tensor, demos: Demos, updates: int, generator: torch.Generator, bf16: bool = False) -> float:
    """Teaches the encoder on windows as networks see them, ``seen [W, H * F]`` (`ase.style.Style.see`; half precision will do), that ``latents [W, Z]`` acted, and on the clips
    under latents of their cells, as training does (`ase.style.StyleConfig`, ``anchor_weight``).

    Returns:
        The mean cosine of a latent and what was read, over the last tenth of the gradient steps.
    """
    encoder, weight = style.encoder, style.config.anchor_weight
    assert encoder is not None, "a policy without latents has no encoder"
    optimizer = torch.optim.Adam(encoder.parameters(), LR, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, LAST_LR / LR, updates)
    reading, last = Descent(optimizer), max(1, updates // 10)
    cosine = torch.zeros((), device=latents.device)
    for k in range(updates):
        rows = torch.randint(len(seen), (BATCH,), generator=generator, device=latents.device)
        with torch.autocast(latents.device.type, torch.bfloat16, enabled=bf16):
            loss = error = encoder_loss(encoder(seen[rows].float()), latents[rows]).mean()
            if style.anchors is not None and weight:
                demo_windows, clips = demos.sample_named(DEMO_BATCH, generator)
                loss = error + weight * encoder_loss(encoder(style.see(demo_windows)), style.anchors.sample(clips, generator)).mean()
        reading.start(loss)
        reading.finish()
        schedule.step()
        if k >= updates - last:
            cosine -= error.detach() / last
    return float(cosine)
