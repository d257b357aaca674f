"""``kalloy export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kalloy.cli.output import allow_option, campaign_argument, dry_run_option
from kalloy.errors import AgreementError

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign

FORMS = {
    "archive": "campaign.tar.gz",
    "ase": "configurations.db",
    "extxyz": "configurations.extxyz",
    "cif": "cif/",
    "tables": "ranking.csv, ranking.json, ranking.schema.json",
    "jobflow": "flow.json",
}
UNLESS_NAMED = tuple(form for form in FORMS if form != "jobflow")
"""Results. A flow is work to do, and needs a library that may not be there."""
ENERGYLESS = {"archive", "jobflow"}


@click.command()
@campaign_argument
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="A new or empty folder.")
@click.option(
    "--as",
    "forms",
    type=click.Choice(list(FORMS)),
    multiple=True,
    help="What to write; repeatable; all but jobflow unless named.",
)
@click.option("--best", default=3, show_default=True, type=click.IntRange(1), help="CIFs of so many lowest.")
@allow_option
@dry_run_option
def command(
    campaign: str, output: Path, forms: tuple[str, ...], best: int, allow: tuple[str, ...], dry_run: bool
) -> None:
    """Write CAMPAIGN's results for others: an archive to publish, and structures and tables in common formats.

    The archive holds no POTCAR, charge density or wave function; unpacked it is a campaign again, on which every
    command works.

    With `--as jobflow` the attempts that are written so far, as a flow for jobflow: flow.json, one job a calculation. A
    later step is chosen once the one before it is done: then `kalloy select`, `kalloy write`, and export anew.
    """
    from kalloy.structures.writing import appearing_whole, refuse_occupied
    from kalloy.workflows.campaign import Campaign

    opened = Campaign(Path(campaign))
    refuse_occupied(output)
    wanted = forms or UNLESS_NAMED
    if dry_run:
        click.echo("".join(f"{output}/{FORMS[form]}\n" for form in wanted), nl=False)
        return
    _require(opened, set(wanted), allow)  # refused before anything is written
    with appearing_whole(output) as partial:
        lines = [f"{output}/{FORMS[form]}: {_write(opened, form, partial, best, allow)}" for form in wanted]
    for line in lines:
        click.echo(line)


def _require(campaign: Campaign, wanted: set[str], allow: tuple[str, ...]) -> None:
    from kalloy.workflows.submission.flow import require_flow

    if "jobflow" in wanted:
        require_flow(campaign)
    if wanted - ENERGYLESS:
        _require_ranking(campaign, allow)


def _require_ranking(campaign: Campaign, allow: tuple[str, ...]) -> None:
    from kalloy.workflows.index import Index
    from kalloy.workflows.screening.ranking import rank

    index = Index(campaign)
    index.collect()
    try:
        rank(campaign, index.results(), allowed=allow)
    except AgreementError as error:
        mend = f"{error.mend}; `--as archive` needs no energy" if error.mend else "`--as archive` needs no energy"
        raise AgreementError(error.what, where=error.where, mend=mend) from None


def _write(campaign: object, form: str, output: Path, best: int, allow: tuple[str, ...]) -> str:
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.index import Index
    from kalloy.workflows.report import export
    from kalloy.workflows.report.archive import write_archive
    from kalloy.workflows.report.tables import write_tables
    from kalloy.workflows.screening.ranking import rank
    from kalloy.workflows.submission.board import tally
    from kalloy.workflows.submission.flow import write_flow

    assert isinstance(campaign, Campaign)
    if form == "archive":
        return f"{write_archive(campaign, output / 'campaign.tar.gz')} files"
    if form == "jobflow":
        found = write_flow(campaign, output / "flow.json")
        return f"{len(found)} jobs ({tally(found)})"
    index = Index(campaign)
    index.collect()
    results = index.results()
    ranking = rank(campaign, results, allowed=allow)
    if form == "tables":
        return f"{len(ranking.rows)} rows" if write_tables(ranking, output) else ""
    shown = export.frames(campaign, ranking, results)
    if form == "ase":
        return f"{export.write_ase_db(output / 'configurations.db', shown)} structures"
    if form == "extxyz":
        return f"{export.write_extxyz(output / 'configurations.extxyz', shown)} structures"
    (output / "cif").mkdir()
    return f"{export.write_cifs(output / 'cif', ranking, shown, best)} structures"
