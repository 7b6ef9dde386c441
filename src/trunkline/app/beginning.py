"""The steps of a start that every form of the exchange takes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack

import msgspec

from trunkline.app.applied import keep_applied
from trunkline.app.garbage import building
from trunkline.app.ground import Checked, Ground, check
from trunkline.app.keys import first_key
from trunkline.app.options import Options
from trunkline.app.reloading import Reloading, read_estate
from trunkline.app.signals import Signals
from trunkline.app.standing import standings
from trunkline.app.welcome import Announcer, Welcome
from trunkline.clock import SystemClock
from trunkline.estate.notices import Notice
from trunkline.estate.snapshot import Snapshot
from trunkline.ids import KeyId
from trunkline.messages import Operation
from trunkline.metering.recover import recover
from trunkline.policy.permit import offered
from trunkline.serving.specs import EngineState
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store
from trunkline.store.place import place_of, remember
from trunkline.tenancy.callers import Caller


class Start(msgspec.Struct, frozen=True):
    """What stands before anybody answers.

    Attributes:
        ground: the held data folder, its store and the clock.
        reloading: follows the estate from before it was read.
        checked: the estate to begin with.
        secret: the first key, where this start made it.
        lock: the descriptor that holds the data folder.
    """

    ground: Ground
    reloading: Reloading
    checked: Checked
    secret: str | None
    lock: int


async def begin(stack: AsyncExitStack, options: Options, announcer: Announcer, signals: Signals) -> Start:
    """Hold the data folder, read the estate and the journals, and make the first key; the stack ends what was begun.

    Raises:
        TrunklineError: it cannot start; the message says why and what to do.
    """
    folder = DataFolder(options.data)
    grip = stack.enter_context(await asyncio.to_thread(folder.hold))
    clock = SystemClock()
    place = place_of(folder, options.store)
    store = stack.enter_context(await asyncio.to_thread(open_store, place))
    remember(folder, place)
    ground = Ground(options, folder, store, clock, secrets.token_hex(8))
    reloading = Reloading(ground, signals.reload)
    with building():
        loaded = read_estate(options.data, options.estate)
        await recover_journals(ground, announcer)
        checked = check(ground, loaded)
    secret = first_key(store, checked.rings, clock)
    return Start(ground, reloading, checked, secret, grip.fileno())


def announce(start: Start, port: int) -> None:
    """Leave word in the data folder: where the exchange answers, and the estate that it applies."""
    folder, loaded = start.ground.folder, start.checked.loaded
    folder.announce(port, start.ground.options.host)
    keep_applied(folder.path, loaded.files, loaded.folder)


async def recover_journals(ground: Ground, announcer: Announcer) -> None:
    """Book what earlier runs left in their journals. Only for who holds the data folder, before anybody writes there.

    Raises:
        DataFolderUnusable: a newer version wrote a journal.
    """
    found = await asyncio.to_thread(recover, ground.folder.journal_folder, ground.store, ground.clock.now())
    if found.records or found.lost:
        announcer.progress(
            f"Read what an earlier run left in its journal, records: {found.records}; "
            f"attempts without an end, booked at their hold: {found.lost}."
        )


async def become_ready(ready: Coroutine[None, None, None], signals: Signals) -> bool:
    """Wait until the exchange is ready; False when told to stop before."""
    becoming, stopped = asyncio.create_task(ready), asyncio.create_task(signals.stop.wait())
    done, pending = await asyncio.wait({becoming, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if becoming in done:
        becoming.result()
    return stopped not in done


def welcome(start: Start, port: int, snapshot: Snapshot, engines: Mapping[str, EngineState]) -> Welcome:
    """Gather what is said once the exchange answers."""
    options, loaded = start.ground.options, start.checked.loaded
    return Welcome(
        url=f"{'http' if options.tls_cert is None else 'https'}://{options.host}:{port}",
        estate=loaded.estate.name,
        data=options.data,
        root=snapshot.root,
        deployments=standings(snapshot, engines),
        key=start.secret,
        model=_model_to_try(snapshot),
        notices=tuple(_in_short(notice) for notice in loaded.notices),
    )


def _model_to_try(snapshot: Snapshot) -> str:
    root = Caller(key=KeyId(""), unit=snapshot.root, cost_centre="")
    offers = offered(snapshot, root)
    for offer in offers:
        decisions = offer.by_operation.get(Operation.CHAT)
        if decisions is not None and decisions[offer.data_class].tiers:
            return offer.name
    return offers[0].name if offers else "NAME-OF-A-USE-CASE"


def _in_short(notice: Notice) -> str:
    return f"{notice.message} ({notice.count} times)" if notice.count > 1 else notice.message
