"""Cohere's dialect, version 2: Chat and Embed. Source: Cohere API reference."""
