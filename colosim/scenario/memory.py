"""How the memory of the two QEMU processes is mapped: what giving it back costs depends on it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from colosim.scenario.fields import Choice
from colosim.scenario.section import Section

HUGE: Final = "huge"
_SIZE: Final = Choice(("4 KiB", HUGE), "a size of pages")


class Memory(Section):
    """Sizes of pages, by which the kernel tears down a killed process and frees the RAM cache.

    Measured (Linux 6.18, 512 MiB of touched anonymous memory, munmap): 0.15 to 0.23 ns/B with pages
    of 4 KiB, 0.002 to 0.004 with transparent huge pages.
    """

    example = "{pages: huge}"

    pages: Annotated[str, _SIZE] = HUGE
    """Of guest RAM. QEMU asks for huge pages for it (qemu_madvise, QEMU_MADV_HUGEPAGE)."""
    cache_pages: Annotated[str | None, _SIZE] = Field(default=None, alias="cache_pages")
    """Of the secondary's RAM cache; as pages unless given. QEMU does not ask for huge pages for it:
    it has them where the kernel's transparent_hugepage is 'always', 4 KiB where it is 'madvise'.
    """

    @property
    def is_huge(self) -> bool:
        """Whether guest RAM has huge pages."""
        return self.pages == HUGE

    @property
    def cache_is_huge(self) -> bool:
        """Whether the RAM cache has huge pages."""
        return (self.cache_pages or self.pages) == HUGE
