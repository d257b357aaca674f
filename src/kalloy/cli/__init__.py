"""The command line: one verb a step. Each verb is a module of this package, imported only when it is called."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from kalloy.cli.stopping import STOP, code_of, sentence
from kalloy.errors import KalloyError, nearest

VERBS = {
    "count": "Exact counts of symmetry-distinct configurations; no files.",
    "enumerate": "Write every symmetry-distinct configuration, outside any campaign.",
    "new": "Make a campaign folder from a host and a substitution.",
    "run": "Carry a campaign through every step until done; resumable.",
    "members": "What the campaign computes: host and configurations.",
    "prescreen": "Let a cheap model relax every configuration and choose who goes on to DFT.",
    "extrapolate": "Predict configurations that are not computed from those that are, each with its error.",
    "select": "Decide who goes on to the next step, and put it on record.",
    "write": "Write the inputs of the selected members.",
    "check": "Check every input before anything is submitted.",
    "submit": "Submit what is ready to the site's scheduler, and come back.",
    "execute": "Run the engine in attempts, on the compute node.",
    "status": "Where every calculation stands.",
    "cancel": "End calculations that run or wait.",
    "retry": "Try calculations again, each in a new attempt beside the old one.",
    "collect": "Parse what has finished into results.",
    "rank": "Order the configurations by energy, with gap, volume and doubts.",
    "average": "Boltzmann averages over the configurations; mixing and exchange energies.",
    "report": "One self-contained page with table, figures and methods.",
    "adopt": "Take calculations made by hand into a campaign.",
    "export": "Results for others: an archive to publish, structures and tables.",
    "parse": "Read any VASP folder: gap, character, energy, convergence.",
    "doctor": "What is installed, configured and reachable; each failure with its mend.",
    "completion": "Make the shell complete verbs, options, hosts, presets and members.",
}


class Verbs(click.Group):
    """Lists the verbs from ``VERBS`` and imports a verb's module only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the work, not of the alphabet."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's ``command`` from its module."""
        if cmd_name not in VERBS:
            return None
        command = import_module(f"kalloy.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest verb named for a misspelt one."""
        if args and args[0] not in VERBS and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"no command '{args[0]}'; {nearest(args[0], list(VERBS))}")
        ctx.meta["kalloy.words"] = list(args)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs with what they do, without importing any; options after a dash."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(verb, help=words) for verb, words in VERBS.items() if verb.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of verbs without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from kalloy import __version__

        click.echo(f"kalloy {__version__}")
        ctx.exit()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print it.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Screen alloy configurations with density-functional theory.

    Take a crystal and a substitution; enumerate, compute, rank and report every symmetry-distinct
    configuration. Exit codes: 0 done, 1 some failed, 2 bad input, 3 still waiting, 4 locked, 128 + N stopped by
    signal N.
    """


def _bare() -> list[str]:
    """The words that nothing at all stands for; a shell that asks for completions types nothing either."""
    return [] if "_KALLOY_COMPLETE" in os.environ else ["--help"]


def main() -> None:
    """Run the command line; an expected error is one sentence on stderr and its exit code."""
    words = [word for word in sys.argv[1:] if word != "--debug"]  # wherever it is typed
    STOP.listen()
    _print_anything()
    try:
        code = cli.main(words or _bare(), prog_name="kalloy", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except BaseException as error:
        code = _told(error, words, debug=len(words) < len(sys.argv) - 1)
    STOP.forget()
    sys.exit(code if isinstance(code, int) else 0)


def _print_anything() -> None:
    """A letter that the locale cannot say is spelt out; it is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _told(error: BaseException, words: list[str], debug: bool) -> int:
    """Say what went wrong, in one sentence; the exit code."""
    if isinstance(error, click.Abort) and error.__context__ is not None:
        error = error.__context__  # click's own word for Ctrl-C, and for an end of input
    verb = next((word for word in words if word in VERBS), None)
    if (stopped := code_of(error)) is not None:
        click.echo(f"kalloy: {sentence(stopped, verb)}", err=True)
        return stopped
    if isinstance(error, SystemExit) or (debug and not isinstance(error, click.ClickException)):
        raise error
    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        name = f" {context.info_name}" if context and context.parent else ""
        click.echo(f"kalloy{name}: {error.format_message()}", err=True)
        return error.exit_code
    from kalloy.cli.troubles import trouble

    expected = error if isinstance(error, KalloyError) else trouble(error)
    if expected is not None:
        click.echo(f"kalloy: {expected}", err=True)
        return expected.exit_code
    # A mistake of ours, which nobody should have to read a traceback for.
    click.echo(f"kalloy: unexpected {type(error).__name__}: {error}; --debug shows where", err=True)
    return 1
