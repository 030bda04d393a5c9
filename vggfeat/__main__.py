"""`python -m vggfeat`."""

from vggfeat.cli import main

main()
