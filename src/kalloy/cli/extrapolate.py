"""``kalloy extrapolate``."""

from __future__ import annotations

from pathlib import Path

import click

from kalloy.cli.output import campaign_argument, emit_json, emit_table, json_option


@click.command()
@campaign_argument
@click.option("--to", "amount", metavar="N[,N]", required=True, help="Sites that each substitution takes.")
@click.option(
    "--from",
    "source",
    type=click.Choice(["prescreen", "dft"]),
    default="prescreen",
    show_default=True,
    help="Whose energies it is fitted to.",
)
@click.option(
    "--model",
    type=click.Choice(["cluster-expansion", "pair-sums"]),
    default="cluster-expansion",
    show_default=True,
    help="Fitted points and pairs, or SOD's sums over one and two substituted sites.",
)
@click.option("--triplets", type=float, default=0.0, metavar="Å", help="Let triplets up to this size take part.")
@click.option(
    "--lowest", type=click.IntRange(min=1), default=12, show_default=True, metavar="N", help="How many to show."
)
@click.option("--sample", type=click.IntRange(min=1), default=5000, show_default=True, help="Draws of a large content.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of --sample.")
@json_option
def command(
    campaign: str,
    amount: str,
    source: str,
    model: str,
    triplets: float,
    lowest: int,
    sample: int,
    seed: int,
    as_json: bool,
) -> None:
    """Predict energies of configurations of CAMPAIGN that are not computed, and name who is worth computing next.

    Nothing is predicted without the error of the prediction.

    \b
    kalloy extrapolate my-campaign --to 4
    """
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.prescreen.extrapolation import Method, Source, extrapolate

    found = extrapolate(
        Campaign(Path(campaign)),
        _counts(amount),
        source=Source(source),
        method=Method(model),
        triplets=triplets,
        sample=sample,
        seed=seed,
    )
    if as_json:
        shown = found.to_json()
        emit_json({"schema": 1, **shown, "configurations": shown["configurations"][:lowest]})
        return
    rows = [
        (
            c.label,
            c.degeneracy,
            f"{c.relative_meV:.1f}",
            f"{1000 * c.error_eV:.1f}",
            "" if c.computed_eV is None else "yes",
        )
        for c in found.configurations[:lowest]
    ]
    emit_table(("configuration", "g", "ΔE meV/cell", "± meV", "computed"), rows)
    click.echo(f"- {found.method}: {found.known} energies by {found.source}")
    click.echo(
        f"- error {found.error_meV:.1f} meV per cell, {found.error_of}; the energies themselves spread by "
        f"{found.spread_meV:.1f} meV within their contents"
    )
    if found.sampled:
        click.echo(f"- the lowest of a sample of {len(found.configurations):,} configurations: lower ones may be there")
    if not any(c.computed_eV is None for c in found.configurations):
        click.echo("- every configuration of this content is computed")
    elif new := [
        c.label for c in found.configurations if c.computed_eV is None and c.relative_meV < 2 * found.error_meV
    ]:
        click.echo(f"- worth computing next (within two errors of the lowest): {', '.join(new[:lowest])}")


def _counts(text: str) -> tuple[int, ...]:
    from kalloy.errors import InputError

    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise InputError(
            f"'{text}' are no numbers", where="--to", mend="one integer a substitution: 4, or 2,1"
        ) from None
