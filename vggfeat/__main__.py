"""What `python -m vggfeat` runs: the command line."""

from vggfeat.cli import main

main()
