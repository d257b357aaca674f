"""``kalloy completion``."""

from __future__ import annotations

import click

SHELLS = {
    "bash": ('eval "$(kalloy completion bash)"', "~/.bashrc"),
    "zsh": ('eval "$(kalloy completion zsh)"', "~/.zshrc, after compinit"),
    "fish": ("kalloy completion fish | source", "~/.config/fish/config.fish"),
}
"""The line that turns it on, and where it goes."""
VARIABLE = "_KALLOY_COMPLETE"
"""Click's: set by the shell's function when it asks this program."""


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)), metavar="SHELL")
def command(shell: str) -> None:
    """Print what makes SHELL complete verbs, options, bundled hosts, presets, stages, states and a campaign's members.

    \b
    bash   eval "$(kalloy completion bash)"       in ~/.bashrc
    zsh    eval "$(kalloy completion zsh)"        in ~/.zshrc, after compinit
    fish   kalloy completion fish | source        in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    from kalloy.cli import cli

    made = get_completion_class(shell)
    assert made is not None
    line, place = SHELLS[shell]
    click.echo(f"# Completion of kalloy for {shell}; this line in {place}:\n#   {line}")
    click.echo(made(cli, {}, "kalloy", VARIABLE).source())
