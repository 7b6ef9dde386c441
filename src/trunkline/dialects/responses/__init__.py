"""OpenAI's Responses: requests are lists of items, answers too."""
