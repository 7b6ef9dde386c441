"""Anthropic's dialect: Messages. Source: Claude API reference, "Create a message"."""
