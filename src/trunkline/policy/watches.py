"""Which requests have to be examined at all: worked out ahead, so that a plain one pays a look at its field names."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.catalog.requests import Field, Form, load_forms
from trunkline.estate.decisions import Denial, Watch
from trunkline.estate.use_cases import Parameters

Watched = dict[tuple[str, str], Watch]


class Watches:
    """Makes watches; decisions that bar the same features share theirs."""

    def __init__(self) -> None:
        self._made: dict[tuple[frozenset[str], bool], Watched] = {}

    def watch(self, barred: Mapping[str, Mapping[str, Denial]], parameters: Parameters | None) -> Watched | None:
        """Return the watch for each dialect and operation; None where no request has to be examined.

        Args:
            barred: for each deployment the features that are not allowed there.
            parameters: what the use case limits.
        """
        features = frozenset(feature for terms in barred.values() for feature in terms)
        if not features and parameters is None:
            return None
        key = (features, parameters is not None)
        if key not in self._made:
            self._made[key] = {
                place: _watch(form, features, limited=parameters is not None) for place, form in load_forms().items()
            }
        return self._made[key]


def _watch(form: Form, features: frozenset[str], *, limited: bool) -> Watch:
    fields = {name: field for name, field in form.fields.items() if features & used_by(field)}
    parts = any(part.feature in features for part in form.parts)
    return Watch(
        form=form,
        fields=frozenset(fields),
        prompt=(form.messages or "") if parts else "",
        always=limited or any(field.when_absent for field in fields.values()),
        marks=form.marks,
    )


def used_by(field: Field) -> frozenset[str]:
    """Return all features that a field may use."""
    return frozenset(one for one in (field.feature, field.other_kind, *field.kinds.values()) if one is not None)
