"""Feature names: a network read from a file often has none, and the header of the user's data supplies them."""

from __future__ import annotations

from dataclasses import replace
from typing import overload

from relu_shallow.data import DataTable, columns_by_name, has_index, numbered
from relu_shallow.network import Network, named
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import ShallowNetwork


def nameless(network: Network) -> bool:
    """Whether the network's features are only numbered (x0, x1, ...)."""
    return numbered(network.feature_names)


def names_given(table: DataTable, network: Network) -> tuple[str, ...]:
    """The header's names where the network has none and the columns are its inputs by position; else ()."""
    fits = table.named and not has_index(table) and nameless(network) and len(table.names) == network.inputs
    return table.names if fits and columns_by_name(table, network.feature_names) is None else ()


@overload
def named_by(source: Network, table: DataTable) -> Network: ...
@overload
def named_by(source: ShallowNetwork, table: DataTable) -> ShallowNetwork: ...
@overload
def named_by(source: StoredNetwork, table: DataTable) -> StoredNetwork: ...
def named_by(
    source: Network | ShallowNetwork | StoredNetwork, table: DataTable
) -> Network | ShallowNetwork | StoredNetwork:
    """The same network, with the table's names where it had none."""
    if isinstance(source, Network):
        return named(source, names_given(table, source))
    return replace(source, network=named(source.network, names_given(table, source.network)))
