"""A command of vggfeat: its page of help, and the options that every command has."""

import click

from vggfeat.cli.help import HelpPage
from vggfeat.cli.verbosity import with_verbosity


class Command(HelpPage):
    """A command that takes --quiet, --verbose and --debug beside its own options."""

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        return with_verbosity(super().get_params(context))
