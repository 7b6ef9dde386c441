from __future__ import annotations

from typing import Final

from trunkline.dialects.dialect import ChatCodec, Dialect, EmbedCodec, Models, Suit
from trunkline.dialects.openai import (
    answers,
    codec,
    embed,
    errors,
    models,
    rates,
    read_chat,
    read_events,
    stream,
    write_chat,
    write_events,
)

OPENAI: Final = Dialect(
    name=codec.DIALECT,
    doors=codec.DOORS,
    path=codec.path,
    decode=codec.decode,
    encode=codec.encode,
    limit=codec.limit,
    read_answer=codec.read_answer,
    follow=stream.ChatStream,
    estimate=codec.estimate,
    refusal_body=errors.refusal_body,
    error_event=errors.error_event,
    read_failure=errors.read_failure,
    rate_lines=rates.rate_lines,
    models=Models("/v1/models", models.write_list, models.write_one),
    embeddings=EmbedCodec(embed.read_request, embed.write_request, embed.read_answer, embed.write_answer),
    suit=Suit(b"mistral", embed.add_id),
    chat=ChatCodec(
        read_request=read_chat.read_request,
        write_request=write_chat.write_request,
        read_answer=answers.read_answer,
        write_answer=answers.write_answer,
        reader=read_events.ChatReader,
        writer=write_events.ChatWriter,
    ),
)
