"""What a question is put to: a network as it is, or a converted one with its own domain."""

from __future__ import annotations

from dataclasses import replace

from relu_shallow.domain import Domain, WholeSpace
from relu_shallow.network import Network
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import ShallowNetwork, is_sum

Converted = ShallowNetwork | StoredNetwork
Source = Network | Converted


def network_of(source: Source) -> Network:
    """The deep network."""
    return source if isinstance(source, Network) else source.network


def domain_of(source: Source, domain: Domain | None) -> Domain:
    """The domain asked for, or else the converted one; the whole space for a network as it is."""
    if domain is not None:
        return domain
    return WholeSpace() if isinstance(source, Network) else source.domain


def in_modules(source: Source) -> list[ShallowNetwork]:
    """The addends of a network converted in modules, each as a converted network; none of any other."""
    if not isinstance(source, ShallowNetwork) or not is_sum(source):
        return []
    return [
        replace(source, network=table.network, tables=(replace(table, module=None),), proof={})
        for table in source.tables
    ]
