"""What is kept is bounded in number, and asking for it counts against the limits of requests."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest
from tests.path.exchange import deployment, estate, exchange
from tests.upstreams.scripted import Upstream


def test_a_unit_has_no_more_kept_than_its_use_case_says(tmp_path: Path, vendor: Upstream) -> None:
    made = estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]})
    made["use_cases"]["chat"]["keeps"] = {"most": 2}
    with (
        exchange(tmp_path, made) as running,
        openai.OpenAI(api_key=running.key("finance"), base_url=running.url, max_retries=0, timeout=30) as sdk,
    ):
        conversations = [sdk.conversations.create() for _ in range(2)]
        with pytest.raises(openai.RateLimitError, match="Delete some") as caught:
            sdk.conversations.create()
        assert (caught.value.code, caught.value.response.headers["x-should-retry"]) == ("too_many_kept", "false")
        sdk.conversations.delete(conversations[0].id)
        sdk.conversations.create()
        answers = [sdk.responses.create(model="chat", input="hi") for _ in range(2)]
        raw = sdk.responses.with_raw_response.create(model="chat", input="hi")
        assert raw.headers["x-trunkline-note"].startswith("not kept: Your unit has 2 answers of this use case kept")
        with pytest.raises(openai.NotFoundError):
            sdk.responses.retrieve(raw.parse().id)
        sent = len(vendor.received)
        for more in ({"store": True}, {"background": True}, {"conversation": conversations[1].id}):
            with pytest.raises(openai.RateLimitError) as caught:
                sdk.responses.create(model="chat", input="hi", **more)
            assert caught.value.code == "too_many_kept"
        assert len(vendor.received) == sent
        sdk.responses.delete(answers[0].id)
        kept = sdk.responses.create(model="chat", input="hi", store=True)
        assert sdk.responses.retrieve(kept.id).id == kept.id
        with openai.OpenAI(api_key=running.key("marketing"), base_url=running.url, max_retries=0, timeout=30) as other:
            assert other.conversations.create().id


def test_asking_for_what_is_kept_counts_as_a_request(tmp_path: Path, vendor: Upstream) -> None:
    limits = [{"on": {"unit": "finance"}, "rpm": 4}]
    made = estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]}, limits=limits)
    made["use_cases"]["chat"]["keeps"] = {}
    with (
        exchange(tmp_path, made) as running,
        openai.OpenAI(api_key=running.key("finance"), base_url=running.url, max_retries=0, timeout=30) as sdk,
    ):

        def ask() -> None:
            for _ in range(9):  # A minute may begin in between.
                sdk.conversations.retrieve(sdk.conversations.create().id)

        with pytest.raises(openai.RateLimitError) as caught:
            ask()
        assert caught.value.code == "rate_limit_exceeded"
        assert int(caught.value.response.headers["retry-after"]) >= 1
