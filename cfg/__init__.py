"""Run configuration: its schema, the presets, and strict loading."""
