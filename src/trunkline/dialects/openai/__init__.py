"""OpenAI's dialect: Chat Completions and Embeddings. Source: OpenAI API reference."""
