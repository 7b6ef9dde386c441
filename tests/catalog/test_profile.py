from __future__ import annotations

from trunkline.catalog.profile import load_profiles
from trunkline.messages import Operation

PROFILES = load_profiles()


def test_each_model_does_one_thing_and_what_was_read_lately_says_when() -> None:
    for profile in PROFILES.values():
        assert profile.operations in ((Operation.CHAT,), (Operation.EMBEDDINGS,))
        assert profile.operations == (Operation.CHAT,) or not profile.features
        assert profile.verified is not None or "models.dev" not in profile.source


def test_chat_models_and_embedding_models_are_told_apart() -> None:
    embeds = {name for name, profile in PROFILES.items() if profile.operations == (Operation.EMBEDDINGS,)}
    chats = {name for name, profile in PROFILES.items() if profile.operations == (Operation.CHAT,)}
    assert embeds >= {"sentence-transformers/all-minilm-l6-v2", "google/gemini-embedding-001", "cohere/embed-v4.0"}
    assert chats >= {
        "openai/gpt-4.1-mini",
        "mistral/mistral-large",
        "mistral/mistral-small",
        "huggingface/smollm2-135m-instruct",
        "anthropic/claude-haiku-4-5",
        "google/gemini-2.5-flash",
        "google/gemini-2.5-pro",
        "google/gemini-3-flash-preview",
        "google/gemini-3-pro-preview",
        "anthropic/claude-opus-4-7",
        "anthropic/claude-opus-4-8",
    }


def test_a_tokeniser_says_where_it_was_read() -> None:
    named = {profile.model: profile.tokeniser for profile in PROFILES.values() if profile.tokeniser is not None}
    assert named["openai/gpt-4.1-mini"].name == "o200k_base"
    assert named["openai/text-embedding-3-small"].name == "cl100k_base"
    assert all(one.title and one.verified for one in named.values())


def test_no_answer_is_bounded_above_its_context() -> None:
    for profile in PROFILES.values():
        assert profile.context_length is not None
        assert profile.output_bound is None or profile.output_bound <= profile.context_length
        assert profile.source
