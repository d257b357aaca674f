"""Ridge regression with its leave-one-out error in closed form, and a prediction's own standard error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import CampaignError

Floats = NDArray[np.float64]

STRENGTHS = tuple(10.0**power for power in range(-12, 3))
"""That are tried."""
LEVERAGE = 1 - 1e-7
"""A point whose own energy alone decides its fit has no leave-one-out residual."""


@dataclass(frozen=True, eq=False)
class Ridge:
    """A linear fit y ≈ intercept + X·w with λ|w|² added; the intercept is not penalised."""

    strength: float
    """λ in units of the largest eigenvalue of the centred XᵀX over the number of columns."""
    mean: Floats
    """Shape (columns,), of the rows fitted to."""
    intercept: float
    """At the mean."""
    weights: Floats
    """Shape (columns,)."""
    residuals: Floats
    """Shape (rows,): what each row is off by where it takes no part in the fit."""
    inverse: Floats
    """Shape (columns, columns): (XᵀX + λ)⁻¹, centred."""

    @property
    def error(self) -> float:
        """Root mean square of the leave-one-out residuals."""
        return float(np.sqrt(np.mean(self.residuals**2)))

    def predict(self, rows: Floats) -> Floats:
        """Shape (rows,)."""
        return np.asarray(self.intercept + (rows - self.mean) @ self.weights)

    def uncertainty(self, rows: Floats) -> Floats:
        """Shape (rows,): the leave-one-out error, widened by how far a row lies outside of what was fitted."""
        away = rows - self.mean
        leverage = 1 / len(self.residuals) + np.einsum("ij,jk,ik->i", away, self.inverse, away)
        return np.asarray(self.error * np.sqrt(1 + leverage))


def ridge(rows: Floats, values: Floats) -> Ridge:
    """The fit whose strength, of `STRENGTHS`, has the smallest leave-one-out error.

    Parameters
    ----------
    rows : shape (n, columns); values : shape (n,).

    Raises
    ------
    CampaignError
        Where some row alone decides a part of the fit at every strength, so that no error can be told.
    """
    best = min((ridge_of(rows, values, strength) for strength in STRENGTHS), key=lambda fit: fit.error)
    if not np.isfinite(best.error):
        raise CampaignError(f"{len(values)} energies are too few to tell a fit's error", mend="compute more")
    return best


SAME = 1e-12
"""Of the largest correlation: differences below it are rounding."""


def ridge_of(rows: Floats, values: Floats, strength: float) -> Ridge:
    """The fit of one strength; its error is infinite where a row alone decides a part of it.

    Notes
    -----
    With H the matrix that maps values on fitted ones the residual without a row is (y − Hy)ᵢ/(1 − Hᵢᵢ), exactly
    (D. M. Allen, Technometrics 16, 125 (1974)).
    """
    mean, level = rows.mean(axis=0), float(values.mean())
    centred, above = rows - mean, values - level
    left, singular, right = np.linalg.svd(centred, full_matrices=False)
    if singular[0] < SAME * max(1.0, float(np.abs(rows).max())):  # rows that differ by rounding alone are one row
        singular = np.zeros_like(singular)
    damping = strength * (float(singular[0]) ** 2 / rows.shape[1] or 1.0)
    hat = (left * (singular**2 / (singular**2 + damping))) @ left.T
    leverages = np.diag(hat) + 1 / len(values)
    alone = leverages >= LEVERAGE
    residuals = np.where(alone, np.inf, (above - hat @ above) / np.where(alone, 1.0, 1 - leverages))
    weights = right.T @ (singular / (singular**2 + damping) * (left.T @ above))
    # (XᵀX + λ)⁻¹: 1/λ in every direction that no row has shown.
    inverse = np.eye(rows.shape[1]) / damping + right.T @ np.diag(1 / (singular**2 + damping) - 1 / damping) @ right
    return Ridge(strength, mean, level, weights, residuals, inverse)
