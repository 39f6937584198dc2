"""Learning: losses, rewards, latents, networks, PPO, style (discriminator and encoder) and the training loops. Torch only."""
