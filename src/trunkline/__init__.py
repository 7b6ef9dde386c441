"""Trunkline: the exchange through which an organisation uses generative AI."""

__version__ = "0.1.0"
