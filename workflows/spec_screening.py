"""What kalloy.toml says about comparing results: ``[agreement]`` and ``[ensemble]``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kalloy.workflows.spec_members import Table


class AgreementTable(Table):
    """``[agreement]``: differences between calculations that the user takes on; every figure carries them as doubts."""

    allow: list[str] = Field(default_factory=list)
    """Settings by name: ``ENCUT``, ``k-mesh``, ``datasets``, …"""


class EnsembleTable(Table):
    """``[ensemble]``: where thermal averages are taken."""

    temperatures: list[Annotated[float, Field(ge=0)]] = Field(default_factory=lambda: [300.0], min_length=1)
    """K; ``inf`` is the limit in which every arrangement is as likely."""
