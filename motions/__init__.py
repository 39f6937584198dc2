"""Motion clips: files, rotations, forward kinematics and the stacked library that training samples from."""
