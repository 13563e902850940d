"""Prompt prefixes that one replica holds in its KV cache, least recently used first to go."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Prefixes:
    """Cached prefixes in blocks; those that a request uses are pinned, the others give way.

    Attributes
    ----------
    blocks : dict
        Prefix → blocks held, least recently used first.
    users : dict
        Prefix → requests that use it now.
    pinned, idle : int
        Blocks of prefixes in use, and of the others.
    """

    blocks: dict[int, int] = field(default_factory=dict)
    users: dict[int, int] = field(default_factory=dict)
    pinned: int = 0
    idle: int = 0

    def cached(self, prefix: int) -> int:
        """Blocks held of a prefix.

        >>> Prefixes().cached(3)
        0
        """
        return self.blocks.get(prefix, 0)

    def take(self, prefix: int, blocks: int) -> None:
        """A request uses the first ``blocks`` blocks of a prefix from now on; what is missing is added."""
        held = self.blocks.pop(prefix, 0)
        if self.users.get(prefix, 0):
            self.pinned -= held
        else:
            self.idle -= held
        held = max(held, blocks)
        self.blocks[prefix] = held
        self.users[prefix] = self.users.get(prefix, 0) + 1
        self.pinned += held

    def leave(self, prefix: int) -> None:
        """A request ends; the prefix stays until its place is wanted."""
        self.users[prefix] -= 1
        if not self.users[prefix]:
            held = self.blocks[prefix]
            self.pinned -= held
            self.idle += held

    def give_way(self, most: int) -> None:
        """Forget idle prefixes, the longest unused first, until at most ``most`` blocks are idle."""
        if self.idle <= most:
            return
        for prefix in [one for one in self.blocks if not self.users.get(one, 0)]:
            self.idle -= self.blocks.pop(prefix)
            if self.idle <= most:
                return
