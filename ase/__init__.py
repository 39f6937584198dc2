"""Learning: losses, rewards, latents, networks, PPO, style (discriminator and encoder), symmetry, measures and the training loop. Torch only."""
