"""How models and what is asked of them are called. Source: Gemini API reference, "Models", on resource names."""

from __future__ import annotations

import re
from typing import Final

DOOR: Final = re.compile(r"/v1(?:beta)?/(?:models/)+([^?]+):(\w+)")
"""A model's name may hold slashes and colons; the last colon stands before what is asked of it."""
BUFFERED: Final = "generateContent"
STREAMED: Final = "streamGenerateContent"
COUNT: Final = "countTokens"
EMBED_ONE: Final = "embedContent"
EMBED: Final = "batchEmbedContents"
MODELS: Final = "/v1beta/models"
WHOLE: Final = ("models/", "tunedModels/", "publishers/", "projects/", "endpoints/")
"""Names that say themselves in which collection the model stands."""


def named(model: str) -> str:
    """Return a model's name as a resource."""
    return model if model.startswith(WHOLE) else f"models/{model}"
