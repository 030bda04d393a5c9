"""A command of vggfeat: its page of help, and the options that every command has."""

from typing import Any

import click

from vggfeat.cli.configured import Configured
from vggfeat.cli.help import HelpPage
from vggfeat.cli.messages import set_up_messages
from vggfeat.cli.verbosity import with_verbosity


class Command(HelpPage, Configured):
    """A command that takes --config, --quiet, --verbose and --debug beside its own options."""

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        return with_verbosity(super().get_params(context))

    def invoke(self, context: click.Context) -> Any:
        set_up_messages(quiet=False)
        return super().invoke(context)
