"""Characters, physics engines and environments."""
