"""The steps of a start that every form of the exchange takes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping

import msgspec

from trunkline.app.ground import Ground
from trunkline.app.options import Options
from trunkline.app.signals import Signals
from trunkline.app.standing import standings
from trunkline.app.welcome import Announcer, Welcome
from trunkline.estate.load import Loaded
from trunkline.estate.notices import Notice
from trunkline.estate.stages import Snapshot
from trunkline.ids import KeyId
from trunkline.messages import Operation
from trunkline.metering.recover import recover
from trunkline.policy.permit import offered
from trunkline.serving.specs import EngineState
from trunkline.tenancy.callers import Caller


class Started(msgspec.Struct, frozen=True):
    """Where a started exchange answers, and the first key where this start made it."""

    port: int
    secret: str | None


async def recover_journals(ground: Ground, announcer: Announcer) -> None:
    """Book what earlier runs left in their journals. Only for who holds the data folder, before anybody writes there.

    Raises:
        DataFolderUnusable: a newer version wrote a journal.
    """
    found = await asyncio.to_thread(recover, ground.folder.journal_folder, ground.store, ground.clock.now())
    if found.records or found.lost:
        announcer.progress(
            f"Read {found.records} records that an earlier run left in its journal; "
            f"{found.lost} attempts had no end and are booked at their hold."
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


def welcome(
    options: Options,
    started: Started,
    loaded: Loaded,
    snapshot: Snapshot,
    engines: Mapping[str, EngineState],
) -> Welcome:
    """Gather what is said once the exchange answers."""
    return Welcome(
        url=f"{'http' if options.tls_cert is None else 'https'}://{options.host}:{started.port}",
        estate=loaded.estate.name,
        data=options.data,
        root=snapshot.root,
        deployments=standings(snapshot, engines),
        key=started.secret,
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
