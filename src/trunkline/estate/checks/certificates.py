from __future__ import annotations

from trunkline.config.faults import Faults
from trunkline.estate.declared import Declared


def check_certificates(declared: Declared, faults: Faults) -> None:
    """A declared certificate can be told by something, and no two by the same."""
    first: dict[frozenset[tuple[str, str]], str] = {}
    for name, certificate in declared.certificates.items():
        marks = frozenset(certificate.marks().items())
        if not marks:
            message = "a certificate is told by at least one of uri, dns, email, common_name, sha256"
            faults.add(declared.place("certificates", name), message)
        elif (other := first.setdefault(marks, name)) != name:
            message = f'"{other}" is told by the same: a client with such a certificate would be neither; change one'
            faults.add(declared.place("certificates", name), message)
