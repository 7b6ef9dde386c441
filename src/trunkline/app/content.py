from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Final

from trunkline.clock import Clock
from trunkline.config.environment import Environment, kind_of_reference, resolve
from trunkline.conversations.conversations import Conversations
from trunkline.conversations.sealed import Box, SealedDialogues, SealedErrands, SealedTurns
from trunkline.errors import Unstartable
from trunkline.store.open import Store

NEEDS_CRYPTOGRAPHY: Final = "trunkline.conversations.boxes"


def open_conversations(reference: str | None, store: Store, clock: Clock) -> Conversations:
    """Return the conversations that a store keeps, encrypted where there is a reference to keys.

    Raises:
        Unstartable: as `content_box`.
    """
    box = content_box(reference)
    return Conversations(SealedTurns(store, box), SealedDialogues(store, box), SealedErrands(store, box), clock)


def content_box(reference: str | None) -> Box | None:
    """Return what encrypts kept content, from a reference to its keys; None where none was given.

    Raises:
        Unstartable: it is no reference, leads nowhere, what is there is no key, or the extra is not installed.
    """
    if reference is None:
        return None
    if kind_of_reference(reference) not in {"env", "file"}:
        raise Unstartable(
            "--content-key takes a reference, so that the key stands in no list of processes: env:NAME or file:PATH"
        )
    resolved = resolve(reference, Environment(Path.cwd(), os.environ))
    if resolved.value is None:
        raise Unstartable(f"the content key is not known: {resolved.why}")
    try:
        made: Box = import_module(NEEDS_CRYPTOGRAPHY).make_box(resolved.value)
    except ImportError as fault:
        raise Unstartable("a content key needs the extra: pip install 'trunkline[encryption]'") from fault
    return made
