"""completion: what makes a shell complete the commands, options and names of vggfeat."""

import os
import re
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from vggfeat.cli.group import COMPLETE_VARIABLE, main

# As click's, and with the line itself: bash splits words at @, : and =, of which --net is made.
_BASH = """\
%(complete_func)s() {
    local type value
    local response
    response=$(env COMP_LINE="$COMP_LINE" COMP_POINT=$COMP_POINT \\
        COMP_WORDBREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete $1)
    COMPREPLY=()
    while IFS=',' read -r type value; do
        if [[ $type == 'dir' ]]; then
            compopt -o dirnames
        elif [[ $type == 'file' ]]; then
            compopt -o default
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=("$value")
        fi
    done <<< "$response"
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


_NOT_PLAIN = re.compile(r"[^\w@%+=:,./-]")


def _escaped(sign: re.Match[str]) -> str:
    return f"\\{sign[0]}"


class BashWithBreaks(BashComplete):
    """Bash's completion of words that bash itself takes for several, such as vgg16@caffe."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one at the cursor, and this one as far as it is typed."""
        line = os.environ["COMP_LINE"].encode()[: int(os.environ["COMP_POINT"])].decode()
        words = split_arg_string(line)
        typed = "" if line.endswith((" ", "\t")) else words.pop()
        breaks = set(os.environ.get("COMP_WORDBREAKS", "")) - set(" \t\n\"'")
        kept = re.split(f"[{re.escape(''.join(breaks))}]", typed)[-1] if breaks else typed
        value = typed.partition("=")[2] if typed.startswith("--") else typed
        self.before = value.removesuffix(kept)  # which bash leaves as it is
        return words[1:], typed

    def format_completion(self, item: CompletionItem) -> str:
        """Type and value, without what bash leaves, and so that bash takes no letter of a file's
        name for a command: what is completed is run when the line is."""
        value = item.value.removeprefix(self.before)
        return f"{item.type},{_NOT_PLAIN.sub(_escaped, value) if item.type == 'plain' else value}"


class FishWithCommas(FishComplete):
    """Fish's completion of words and descriptions that hold commas."""

    source_template = FishComplete.source_template.replace("string split", "string split -m 1")


def shells() -> None:
    """Have click complete with this project's classes."""
    add_completion_class(BashWithBreaks)
    add_completion_class(FishWithCommas)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes bash, zsh or fish complete vggfeat.

    Commands, options, benchmarks, nets, weights, probes, stages and files are completed. Write it
    to a file as below, and have new shells read that file; vggfeat must be in their PATH.

    \b
    bash  in ~/.bashrc:  . ~/.vggfeat-complete.bash  (bash 4.4 or later)
    zsh   in ~/.zshrc:   . ~/.vggfeat-complete.zsh  (below compinit)
    fish  reads that folder by itself

    \b
    vggfeat completion bash > ~/.vggfeat-complete.bash
    vggfeat completion zsh > ~/.vggfeat-complete.zsh
    vggfeat completion fish > ~/.config/fish/completions/vggfeat.fish
    """
    shells()
    of_shell: Any = get_completion_class(shell)
    template = of_shell(main, {}, "vggfeat", COMPLETE_VARIABLE)
    click.echo(template.source_template % template.source_vars())
