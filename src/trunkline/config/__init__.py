"""Reads declared files: YAML with positions, typed reading that collects every fault, references to the environment."""
