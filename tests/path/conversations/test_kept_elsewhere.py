"""What is kept in one Postgres database under two exchanges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest
from tests.path.conversations.kept import declared, of, said, stored
from tests.path.exchange import exchange
from tests.upstreams.scripted import Upstream


def test_each_of_two_exchanges_goes_on_with_what_the_other_kept(
    tmp_path: Path, vendor: Upstream, spare: Upstream, postgres_url: str
) -> None:
    made = declared(vendor, spare)
    made["stores"]["conversations"]["controls"] |= {
        "app_state_retention_days": {
            "value": "until_deleted",
            "basis": "enforced_setting",
            "verified_at": "2020-01-01",
            "expires": "2099-01-01",
            "evidence": {"title": "Set so"},
        }
    }
    options = ("--no-engine", "--store", postgres_url)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with (
        exchange(tmp_path / "one", made, *options) as one,
        exchange(tmp_path / "other", made, *options) as other,
    ):
        key = one.key("finance", "--store", postgres_url)
        with (
            openai.OpenAI(api_key=key, base_url=one.url, max_retries=0) as here,
            openai.OpenAI(api_key=key, base_url=other.url, max_retries=0) as there,
        ):
            first = here.responses.create(model="chat", input="I am Ada.", user="a\0b")
            assert stored(first) is True
            second = there.responses.create(model="chat", input="Who?", previous_response_id=first.id, user="a\0b")
            assert (stored(second), here.responses.retrieve(second.id).id) == (True, second.id)
            dialogue = here.conversations.create(items=[{"role": "user", "content": "hi"}], extra_headers=of("chat"))
            for turn, sdk in enumerate((there, here, there)):
                got: Any = sdk.responses.create(model="chat", input=f"turn {turn}", conversation=dialogue.id)
                assert stored(got) is True
            assert said(here, dialogue.id)[1::2] == ["user: turn 0", "user: turn 1", "user: turn 2"]
            there.conversations.delete(dialogue.id)
            with pytest.raises(openai.NotFoundError):
                here.conversations.retrieve(dialogue.id)
