"""The demo's screen: chapters, messages, and each promise with a mark that says whether it held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from connector.demo.hospitals import Hospital


class Screen:
    """Prints the story and remembers which promises did not hold."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._chapters = 0
        self._held = 0
        self._broken: list[str] = []

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
        if held:
            self._held += 1
        else:
            self._broken.append(text)
        mark = "[green]ok[/]" if held else "[red]NO[/]"
        self._console.print(f" {mark} {escape(text)}")

    def end(self) -> bool:
        """Say how it went; return whether every promise held."""
        for text in self._broken:
            self._console.print(f"[red]did not hold:[/] {escape(text)}")
        kept = f"{self._held} of {self._held + len(self._broken)} promises held"
        self._console.print(f"\n[bold]{kept}.[/]")
        return not self._broken

    def leave_open(self, *hospitals: Hospital) -> None:
        self._console.print("\nBoth stay open until Ctrl-C. In another terminal:")
        for hospital in hospitals:
            self._console.print(f"    connector negotiations list --dir {escape(str(hospital.settings.root))}")
