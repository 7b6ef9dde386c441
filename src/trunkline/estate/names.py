"""What names and numbers in the estate must keep to, declared once for the reader, the references and the schema."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

_NAME = r"^[a-z0-9][a-z0-9._-]{0,99}$"
_NAME_RULE = "lower-case letters, digits and `._-`, a letter or digit first"

Name = Annotated[str, Meta(pattern=_NAME, extra={"rule": _NAME_RULE})]
ModelName = Annotated[
    str, Meta(pattern=r"^[^\s/]+/[^\s]+$", extra={"rule": "a model is named vendor/name, such as openai/gpt-4.1-mini"})
]
Version = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        extra={"rule": "a version is letters, digits and `._-`, such as 2025-04-14"},
    ),
]
Currency = Annotated[
    str, Meta(pattern=r"^[A-Z]{3}$", extra={"rule": "a currency is three capital letters, such as EUR"})
]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}$", extra={"rule": "a SHA-256 is 64 hexadecimal digits"})]
Group = Annotated[
    str,
    Meta(pattern=r"^(oidc|group):\S.*$", extra={"rule": "a group is named oidc:NAME or group:NAME"}),
]

UnitName = Annotated[str, Meta(extra={"names": "units"})]
DataClassName = Annotated[str, Meta(extra={"names": "data_classes"})]
BoundaryName = Annotated[str, Meta(extra={"names": "boundaries"})]
DeploymentName = Annotated[str, Meta(extra={"names": "deployments"})]
PoolName = Annotated[str, Meta(extra={"names": "pools"})]
UseCaseName = Annotated[str, Meta(extra={"names": "use_cases"})]
AudienceName = Annotated[str, Meta(extra={"names": "units", "unless": ("oidc:", "group:", "key:")})]

Amount = Annotated[Decimal, Meta(extra_json_schema={"minimum": 0})]
SomeAmount = Annotated[Decimal, Meta(extra_json_schema={"exclusiveMinimum": 0})]
Portion = Annotated[Decimal, Meta(extra_json_schema={"minimum": 0, "maximum": 1})]
Count = Annotated[int, Meta(ge=1)]
Moment = Annotated[datetime, Meta(tz=True)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
