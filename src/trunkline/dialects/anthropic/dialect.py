from __future__ import annotations

from typing import Final

from trunkline.dialects.anthropic import (
    answers,
    codec,
    errors,
    events,
    models,
    rates,
    read_messages,
    stream,
    write_messages,
)
from trunkline.dialects.dialect import ChatCodec, Counting, Dialect, Models

ANTHROPIC: Final = Dialect(
    name=codec.DIALECT,
    doors=codec.DOORS,
    path=codec.path,
    decode=codec.decode,
    encode=codec.encode,
    limit=codec.limit,
    read_answer=codec.read_answer,
    follow=stream.MessageStream,
    estimate=codec.estimate,
    refusal_body=errors.refusal_body,
    error_event=errors.error_event,
    read_failure=errors.read_failure,
    rate_lines=rates.rate_lines,
    forwards=(b"anthropic-beta",),
    counting=Counting(codec.write_count, codec.read_count),
    mark=b"anthropic-version",
    models=Models("/v1/models", models.write_list, models.write_one),
    chat=ChatCodec(
        read_request=read_messages.read_request,
        write_request=write_messages.write_request,
        read_answer=answers.read_answer,
        write_answer=answers.write_answer,
        reader=events.MessageReader,
        writer=events.MessageWriter,
    ),
)
