"""Which characters are known to be different: those annotated together, and the largest sets of them.

An identity of an annotated sequence means something beside the others of that sequence alone: two identities of one
series that never share a sequence may be one person ("relative identity", Soykan, Yuret and Sezgin, arXiv 2308.09096).
Only maximal cliques of the graph of characters that share one may therefore be told apart in a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, islice

from comictool.core.errors import InputError

MOST_CLIQUES = 100_000  # a forged file can have 3^(n / 3) of them


def maximal_cliques(together: Iterable[Iterable[str]]) -> list[tuple[str, ...]]:
    """The maximal sets of two or more characters of which every two stand together somewhere.

    Args:
        together: sets of characters that are known to be different, such as those of each annotated sequence.

    Returns:
        Sorted tuples in order, the same whatever the order of the sets (Bron and Kerbosch, 1973, with pivots).

    Raises:
        InputError: more than `MOST_CLIQUES`.
    """
    import networkx

    sets = [sorted(set(members)) for members in together]
    names = sorted({name for members in sets for name in members})
    number = {name: place for place, name in enumerate(names)}
    graph = networkx.Graph()
    graph.add_edges_from((number[a], number[b]) for members in sets for a, b in combinations(members, 2))
    found = [
        tuple(names[i] for i in sorted(clique)) for clique in islice(networkx.find_cliques(graph), MOST_CLIQUES + 1)
    ]
    if len(found) > MOST_CLIQUES:
        raise InputError(f"{len(names)} characters make more than {MOST_CLIQUES} cliques: these are no annotations")
    return sorted(found)


def runs_of(panels: Sequence[tuple[int, int]], length: int) -> list[tuple[tuple[int, int], ...]]:
    """Panels in order, in runs of `length`, as annotators were given them; the last reaches back to be as long."""
    starts = range(0, len(panels), length)
    return [tuple(panels[max(0, min(start, len(panels) - length)) :][:length]) for start in starts]
