"""Refusals in the shape of OpenAI's API, whose errors are the same on all its paths, and what a failed answer means.

Source: OpenAI API reference, "Errors"; "The response object", field `error`; "Streaming events", `error`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.neutral import Failure, Trouble
from trunkline.dialects.openai import errors as of_openai
from trunkline.errors import Refusal

refusal_body = of_openai.refusal_body
read_failure = of_openai.read_failure

_encode = msgspec.json.Encoder().encode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

FAILED: Final = {"invalid_prompt": Trouble.FILTERED, "server_error": Trouble.SERVER}


def error_event(refusal: Refusal) -> bytes:
    """Return the stream event that ends a broken stream.

    Its fields stand at the top, as the reference has them, and in `error`, where the official SDKs look before they
    raise.
    """
    error = _decode_fields(refusal_body(refusal))["error"]
    told = {
        "type": "error",
        "code": refusal.code,
        "message": refusal.message,
        "param": refusal.param,
        "error": error,
        "sequence_number": 0,
    }
    return b"event: error\ndata: %b\n\n" % _encode(told)


def failure_of(error: msgspec.Raw) -> Failure:
    """Read what an answer failed of."""
    failure = of_openai.failure_of(error)
    return msgspec.structs.replace(failure, trouble=FAILED.get(failure.kind, failure.trouble))
