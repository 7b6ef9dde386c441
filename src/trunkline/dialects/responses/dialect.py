from __future__ import annotations

from typing import Final

from trunkline.dialects.dialect import ChatCodec, Counting, Dialect
from trunkline.dialects.keeping import KeptAnswers
from trunkline.dialects.openai import rates
from trunkline.dialects.responses import (
    answers,
    codec,
    dialogues,
    errors,
    kept,
    late,
    read_events,
    read_items,
    stream,
    write_events,
    write_items,
)

RESPONSES: Final = Dialect(
    name=codec.DIALECT,
    doors=codec.DOORS,
    path=codec.path,
    decode=codec.decode,
    encode=codec.encode,
    limit=codec.limit,
    read_answer=codec.read_answer,
    follow=stream.ResponseStream,
    estimate=codec.estimate,
    refusal_body=errors.refusal_body,
    error_event=errors.error_event,
    read_failure=errors.read_failure,
    rate_lines=rates.rate_lines,
    counting=Counting(codec.write_count, codec.read_count, everywhere=False),
    chat=ChatCodec(
        read_request=read_items.read_request,
        write_request=write_items.write_request,
        read_answer=answers.read_answer,
        write_answer=answers.write_answer,
        reader=read_events.ResponseReader,
        writer=write_events.ResponseWriter,
    ),
    kept=KeptAnswers(
        path=kept.PATH,
        wish=kept.read_wish,
        mint=kept.mint,
        is_ours=kept.is_ours,
        unkept=kept.unkept,
        resume=kept.resume,
        items=kept.items_of,
        ids=kept.ids_of,
        split=kept.split,
        mark=kept.mark,
        mark_event=kept.mark_event,
        find=kept.find,
        write_items=kept.write_items,
        write_deleted=kept.write_deleted,
        late=late.LATE,
    ),
    dialogues=dialogues.DIALOGUES,
)
