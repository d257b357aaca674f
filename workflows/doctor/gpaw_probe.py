"""Asked in a process of its own: which GPAW this Python has, and of which elements it has no dataset."""

from __future__ import annotations

import json
from collections.abc import Sequence


def main(elements: Sequence[str]) -> None:
    """Print one line of JSON: ``missing`` with the reason, or ``version`` and ``without``."""
    try:
        import gpaw
        import gpaw.new
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    from kalloy.errors import VaspInputError
    from kalloy.workflows.gpaw_engine.setups import dataset

    without = []
    for element in elements:
        try:
            dataset(element)
        except VaspInputError:
            without.append(element)
    print(json.dumps({"version": gpaw.__version__, "without": without}))
