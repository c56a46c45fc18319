"""Proofs of what localrag promises, which anybody can run: `prove_offline`, and reports that are signed.

    prove_offline -> session (a process that confines itself) -> attempts, a real ingest, a real answer -> Report

`offline` plays the outside: it listens where the attempts try to reach, holds no document and no model, and is not
confined itself. `session` is what is proven. `forgotten` searches everything for a document that was deleted; it is not
imported here, because it brings numpy, whose threads would keep the session from being confined.
"""

from localrag.proofs.offline import prove_offline
from localrag.proofs.report import Report, Run, Tried, signed, verify

__all__ = ["Report", "Run", "Tried", "prove_offline", "signed", "verify"]
