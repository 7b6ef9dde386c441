"""Calling deployments: the order of attempts, and the send."""
