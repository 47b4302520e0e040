"""The demo's screen: chapters, messages, and each promise with a mark that says whether it held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from connector.demo.hospitals import Hospital


class Screen:
    """Prints the story (on stderr where stdout is for a document) and remembers which promises held."""

    def __init__(self, stderr: bool) -> None:
        self._console = Console(highlight=False, soft_wrap=True, stderr=stderr)
        self._chapters = 0
        self.promises: dict[str, bool] = {}

    def opening(self, *lines: str) -> None:
        for line in lines:
            self._console.print(escape(line))

    def chapter(self, title: str, aside: str = "") -> None:
        self._chapters += 1
        self._console.print(f"\n[bold]{self._chapters} {escape(title)}[/]  [dim]{escape(aside)}[/]")

    def line(self, text: str, style: str = "") -> None:
        self._console.print(f"    {escape(text)}", style=style or None)

    def promise(self, text: str, held: bool) -> None:
        """Show one expectation and whether it held."""
        self.promises[text] = held
        mark = "[green]ok[/]" if held else "[red]NO[/]"
        self._console.print(f" {mark} {escape(text)}")

    def end(self) -> None:
        """Say how it went."""
        self._console.print(f"\n[bold]{sum(self.promises.values())} of {len(self.promises)} promises held.[/]")

    def leave_open(self, *hospitals: Hospital) -> None:
        self._console.print("\nBoth stay open until Ctrl-C. In another terminal:")
        for hospital in hospitals:
            self._console.print(f"    connector negotiations list --dir {escape(str(hospital.settings.root))}")
