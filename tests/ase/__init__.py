"""Tests of `ase`."""
