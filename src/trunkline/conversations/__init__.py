"""Answers that the exchange keeps for callers, and conversations that go on from them."""
