from __future__ import annotations

from typing import Final

from trunkline.dialects.dialect import ChatCodec, Counting, Dialect, EmbedCodec, Models
from trunkline.dialects.gemini import (
    answers,
    codec,
    embed,
    errors,
    events,
    models,
    read_generate,
    stream,
    write_generate,
)
from trunkline.dialects.gemini.names import MODELS
from trunkline.dialects.gemini.proto import DIALECT

GEMINI: Final = Dialect(
    name=DIALECT,
    doors={},
    find_door=codec.find_door,
    path=codec.path,
    decode=codec.decode,
    encode=codec.encode,
    limit=codec.limit,
    read_answer=codec.read_answer,
    follow=stream.ContentStream,
    estimate=codec.estimate,
    refusal_body=errors.refusal_body,
    error_event=errors.error_event,
    read_failure=errors.read_failure,
    mark=b"x-goog-api-key",
    counting=Counting(codec.write_count, codec.read_count),
    models=Models(MODELS, models.write_list, models.write_one),
    embeddings=EmbedCodec(embed.read_request, embed.write_request, embed.read_answer, embed.write_answer),
    chat=ChatCodec(
        read_request=read_generate.read_request,
        write_request=write_generate.write_request,
        read_answer=answers.read_answer,
        write_answer=answers.write_answer,
        reader=events.ContentReader,
        writer=events.ContentWriter,
    ),
)
