"""``kalloy status``."""

from __future__ import annotations

from pathlib import Path

import click

from kalloy.cli.output import campaign_argument, emit_json, emit_table, json_option


@click.command()
@campaign_argument
@click.option("--rebuild", is_flag=True, help="Make the index anew from the files first.")
@json_option
def command(campaign: str, rebuild: bool, as_json: bool) -> int:
    """Show where every calculation of CAMPAIGN stands, from its files."""
    from kalloy.workflows.attempt import State
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.submission.board import all_standings, tally
    from kalloy.workflows.submission.driver import remaining

    opened = Campaign(Path(campaign))
    if rebuild:
        from kalloy.workflows.index import Index

        click.echo(f"index rebuilt: {Index(opened).rebuild()} results", err=True)
    found = all_standings(opened)
    failed = any(s.state in (State.FAILED, State.NEEDS_DECISION, State.LOST) for s in found)
    if as_json:
        emit_json([
            {
                "schema": 1,
                "step": s.step,
                "member": s.member,
                "stage": s.stage,
                "state": s.state,
                "attempt": s.attempt.folder.name if s.attempt else None,
                "cause": s.cause,
            }
            for s in found
        ])  # fmt: skip
    else:
        rows = [
            (s.member, s.stage, s.state, s.attempt.folder.name if s.attempt else None, s.cause or "") for s in found
        ]
        emit_table(("member", "stage", "state", "attempt", "why"), rows, left=5)
        click.echo(f"{tally(found)}; step {max((s.step for s in found), default=0)} of {len(opened.spec.step)}")
    return 1 if failed else 3 if remaining(opened) else 0
