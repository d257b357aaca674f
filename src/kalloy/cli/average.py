"""``kalloy average``."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kalloy.cli.output import allow_option, campaign_argument, emit_json, emit_table, json_option

if TYPE_CHECKING:
    from kalloy.workflows.screening.alloy import Alloy
    from kalloy.workflows.screening.averages import Averages

USUAL = "gap,volume,a,c"
CURVES = ("dos", "epsilon1", "epsilon2", "absorption", "diffraction")


@click.command()
@campaign_argument
@click.option("--temperature", metavar="K,K,…", help="Kelvin, comma-separated; 0 and inf too. [ensemble] by default.")
@click.option("--of", "asked", metavar="NAMES", default=USUAL, show_default=True, help="What is averaged.")
@click.option("--curve", type=click.Choice(CURVES), help="Print an averaged spectrum as CSV instead.")
@click.option("--sod", type=click.Path(path_type=Path), help="Write SOD's input files too, into a new folder.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, units in the column names.")
@json_option
@allow_option
def command(
    campaign: str,
    temperature: str | None,
    asked: str,
    curve: str | None,
    sod: Path | None,
    as_csv: bool,
    as_json: bool,
    allow: tuple[str, ...],
) -> None:
    """Average over the configurations of CAMPAIGN, each by its Boltzmann weight; mixing and exchange energies.

    Averages come with error bars where the noise of the energies is measured. Each says how many of the
    arrangements it covers.
    """
    from kalloy.errors import InputError
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.index import Index
    from kalloy.workflows.screening.alloy import Alloy, require_quantity
    from kalloy.workflows.screening.averages import averages
    from kalloy.workflows.screening.ranking import rank

    if curve and as_json:
        raise InputError("a curve is printed as CSV", where="--json", mend="leave out --json or --curve")
    opened = Campaign(Path(campaign))
    temperatures = _temperatures(temperature) if temperature else list(opened.spec.ensemble.temperatures)
    names = [name.strip() for name in asked.split(",")]
    for name in names:
        require_quantity(name)
    index = Index(opened)
    index.collect()
    results = index.results()
    alloy = Alloy(opened, rank(opened, results, allowed=allow), results, allow)
    alloy.require_energies()
    if curve:
        _print_curve(alloy, results, curve, temperatures)
    else:
        found = list(averages(alloy, temperatures, names))
        if as_json:
            emit_json(_document(alloy, found, names))
        elif as_csv:
            _print_csv(found)
        else:
            _print_tables(alloy, found, names)
    if sod:
        _write_sod(alloy, sod, names, temperatures)


def _temperatures(text: str) -> list[float]:
    from kalloy.errors import InputError

    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = [-1.0]
    if any(not t >= 0 for t in found):
        mend = "write kelvin: 300,600,inf"
        raise InputError(f"'{text}' is no list of temperatures", where="--temperature", mend=mend)
    return found


def _mixing(alloy: Alloy, found: Sequence[Averages], names: Sequence[str]) -> dict[str, Any]:
    """Mixing, bowing and exchange where the campaign has what they need, and why not where it has not."""
    from kalloy.errors import AgreementError, AverageError
    from kalloy.workflows.screening.averages import bowings, mixing_rows

    temperatures = list(dict.fromkeys(a.temperature for a in found))
    document: dict[str, Any] = {"mixing": [], "bowing": {}, "exchange": [], "solubility": [], "notes": []}
    try:
        document["mixing"] = mixing_rows(alloy, temperatures)
        document["bowing"] = bowings(alloy, names, temperatures[0])
    except (AverageError, AgreementError) as error:
        document["notes"].append(f"no mixing energies: {error}")
    try:
        document["exchange"] = _exchange(alloy)
        document["solubility"] = _solubility(alloy, temperatures) if document["exchange"] else []
    except (AverageError, AgreementError) as error:
        document["notes"].append(f"no exchange energies: {error}")
    return document


def _exchange(alloy: Alloy) -> list[dict[str, Any]]:
    return [
        {"content": e.content, "member": e.member, "with": [e.source, e.product], "energy_eV_per_atom": e.energy_eV}
        for e in alloy.exchanges()
    ]


def _solubility(alloy: Alloy, temperatures: Sequence[float]) -> list[dict[str, Any]]:
    """Content in equilibrium with each pair of phases; contents that are not computed take no part, and are named."""
    return [
        {
            "with": [s.label, p.label],
            "temperature_K": t,
            "fraction": x,
            "standard_deviation": width,
            "contents_left_out": alloy.grand().missing,
        }
        for s, p in alloy.reference_pairs
        for t in temperatures
        if 0 < t < float("inf")
        for x, width in [alloy.solubility(s, p, t)]
    ]


def _document(alloy: Alloy, found: Sequence[Averages], names: Sequence[str]) -> dict[str, Any]:
    from kalloy.workflows.screening.averages import trust

    factors = {content: alloy.finite_cell_factor(content) for content in alloy.ensembles}
    return {
        "schema": 1,
        "averages": [a.to_json() | {"finite_cell_factor": factors[a.content]} for a in found],
        **_mixing(alloy, found, names),
        "doubts": trust(alloy, found),
    }


def _print_tables(alloy: Alloy, found: Sequence[Averages], names: Sequence[str]) -> None:
    from kalloy.workflows.screening.alloy import QUANTITIES
    from kalloy.workflows.screening.averages import DIGITS, estimate_text, trust

    heads = ("content", "T K", "⟨E⟩−E₀", "F−E₀", "S/k", "p₀")
    rows = [
        (
            a.content,
            f"{a.temperature:g}",
            f"{a.energy_meV_fu:.1f}",
            None if a.free_energy_meV_fu is None else f"{a.free_energy_meV_fu:.1f}",
            f"{a.entropy_kB:.2f}",
            f"{a.lowest_weight:.3f}",
        )
        for a in found
    ]
    emit_table(heads, rows, title="meV per formula unit above the lowest; S of the cell; p₀ weight of the lowest")
    values = [
        (a.content, f"{a.temperature:g}", *(estimate_text(a.quantities[n], DIGITS.get(n, 3)) for n in names))
        for a in found
    ]
    emit_table(("content", "T K", *(f"{n} {QUANTITIES[n]}" for n in names)), values, title="averages")
    where = list(dict.fromkeys(key for a in found for key in a.occupancies))
    taken = [
        (a.content, f"{a.temperature:g}", *(estimate_text(a.occupancies[w], 3) for w in where if w in a.occupancies))
        for a in found
    ]
    emit_table(("content", "T K", *(f"{s} on {p}" for s, p in where)), taken, title="occupancies of the host's sites")
    several = _mixing(alloy, found, names)
    if several["mixing"]:
        _print_rows(several["mixing"], "mixing, meV per formula unit (pseudo-binary)")
    for name, bow in several["bowing"].items():
        click.echo(f"bowing of {name}: {bow['bowing']:.4g} {QUANTITIES[name]}")
    _print_exchange(several)
    for line in (*several["notes"], *trust(alloy, found)):
        click.echo(f"- {line}")


def _print_rows(rows: Sequence[dict[str, Any]], title: str) -> None:
    heads = [h.removesuffix("_meV_per_formula_unit").replace("_", " ") for h in rows[0]]
    cells = [[f"{v:.3f}" if isinstance(v, float) else v for v in row.values()] for row in rows]
    emit_table(heads, cells, title=title, left=2)


def _print_exchange(several: dict[str, Any]) -> None:
    for row in several["exchange"]:
        source, product = row["with"]
        energy = 1000 * row["energy_eV_per_atom"]
        click.echo(f"host + {source} → {row['member']} + {product}: {energy:+.1f} meV/atom")
    for row in several["solubility"]:
        left_out = len(row["contents_left_out"])
        without = f"; {left_out} contents are not computed and left out" if left_out else ""
        click.echo(
            f"in equilibrium with {' and '.join(row['with'])} at {row['temperature_K']:g} K: x = {row['fraction']:.4f} "
            f"± {row['standard_deviation']:.4f} (width in this cell{without})"
        )


def _print_csv(found: Sequence[Averages]) -> None:
    rows = []
    for average in found:
        plain = average.to_json()
        row = {k: v for k, v in plain.items() if not isinstance(v, dict | list)}
        for name, estimate in {**plain["averages"], **plain["occupancies"]}.items():
            unit = f"_{estimate['unit']}" if "unit" in estimate else ""
            row |= {f"{name}{unit}": estimate["value"], f"{name}_error": estimate["error"]}
        rows.append(row)
    writer = csv.DictWriter(sys.stdout, list(dict.fromkeys(k for row in rows for k in row)))
    writer.writeheader()
    writer.writerows(rows)


def _print_curve(alloy: Alloy, results: Any, curve: str, temperatures: Sequence[float]) -> None:
    from kalloy.workflows.screening.curves import Curve, averaged_curve

    kind = Curve(curve)
    found = {content: averaged_curve(alloy, results, content, kind, temperatures) for content in alloy.ensembles}
    writer = csv.writer(sys.stdout)
    writer.writerow([kind.axis, *(f"{content}_{t:g}K" for content in found for t in temperatures)])
    columns = [kind.grid, *(a.means[t] for a in found.values() for t in temperatures)]
    writer.writerows(["" if v != v else f"{float(v):.6g}" for v in row] for row in zip(*columns, strict=True))
    for content, average in found.items():
        for t, part in average.covered.items():
            click.echo(
                f"{content} at {t:g} K: {len(average.members)} members, {_percent(part)} of the weight", err=True
            )


def _percent(part: float) -> str:
    """``96.4%``; of little, one digit that is not zero."""
    return f"{part:.1%}" if part >= 0.001 else f"{100 * part:.1g}%"


def _write_sod(alloy: Alloy, folder: Path, names: Sequence[str], temperatures: Sequence[float]) -> None:
    from kalloy.structures.writing import appearing_whole, refuse_occupied
    from kalloy.workflows.screening.sod import write_content

    refuse_occupied(folder)
    with appearing_whole(folder) as partial:
        for content in alloy.ensembles:
            write_content(alloy, content, partial / content, names, temperatures)
    for content in alloy.ensembles:
        click.echo(f"SOD's files of {content} in {folder / content}", err=True)
