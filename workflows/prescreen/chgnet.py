"""CHGNet (B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023)) as a model of the prescreen."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kalloy.errors import InputError, how_to_install, nearest

DEFAULT = "0.3.0"
"""The weights that are used unless ``options = { weights = "r2scan" }`` names others of the package."""


def calculator(weights: str = DEFAULT) -> Any:
    """CHGNet on the CPU, one thread: relaxations run side by side instead, and sums are made in one order."""
    import torch
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    torch.set_num_threads(1)
    return CHGNetCalculator(CHGNet.load(model_name=weights, use_device="cpu", verbose=False), use_device="cpu")


def provenance(weights: str = DEFAULT) -> tuple[str, list[Path]]:
    """The package's version with the weights' own, and the files of the weights; imports nothing heavy.

    Raises
    ------
    InputError
        Where CHGNet is not installed, or its package has no such weights.
    """
    package = find_spec("chgnet")
    if package is None or package.origin is None or find_spec("torch") is None:
        raise InputError(
            "CHGNet is not installed",
            mend=f"install it {how_to_install('chgnet')}; or name another ASE calculator in [prescreen]",
        )
    pretrained = Path(package.origin).parent / "pretrained"
    files = sorted((pretrained / weights).glob("*.pth.tar"))
    if not files:
        known = sorted(folder.name for folder in pretrained.iterdir() if folder.is_dir())
        raise InputError(
            f"CHGNet has no weights '{weights}'", where="[prescreen] options", mend=nearest(weights, known)
        )
    return f"{weights} (chgnet {version('chgnet')})", files
