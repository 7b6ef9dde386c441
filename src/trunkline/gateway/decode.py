from __future__ import annotations

import msgspec

from trunkline.dialects.dialect import Door
from trunkline.messages import Asked
from trunkline.wire.server import Request

DATA_CLASS = b"x-trunkline-data-class"
END_CUSTOMER = b"x-trunkline-end-customer"


def decode(door: Door, request: Request) -> Asked:
    """Turn the body into a neutral request, with what the headers say of data class and end customer.

    Raises:
        Malformed: the body cannot be read.
    """
    asked = door.dialect.decode(door.operation, request.body, request.path, request.query)
    data_class, end_customer = request.headers.get(DATA_CLASS), request.headers.get(END_CUSTOMER)
    if data_class is not None:
        asked = msgspec.structs.replace(asked, data_class=data_class.decode("latin-1").strip())
    if end_customer is not None:
        asked = msgspec.structs.replace(asked, end_customer=end_customer.decode("latin-1").strip())
    if door.dialect.forwards:
        lines = [
            b"%b: %b\r\n" % (name, request.headers[name]) for name in door.dialect.forwards if name in request.headers
        ]
        if lines:
            asked = msgspec.structs.replace(asked, forwarded=b"".join(lines))
    return asked
