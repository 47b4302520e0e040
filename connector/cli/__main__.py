"""`python -m connector.cli`: the command line where no entry point is installed."""

from connector.cli import main

main()
