"""What the operator says of where the exchange keeps its books, if that is not on its own machine."""

from __future__ import annotations

import msgspec

from trunkline.estate.claims import Claim


class OwnStore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the exchange's own stores, such as `ledger`, and what is claimed of the place where it is kept.

    In a database on another machine nothing is known of it but what stands here. Of what is kept on the exchange's own
    machine the exchange has claims of its own: both must satisfy.
    """

    controls: dict[str, Claim] = {}
