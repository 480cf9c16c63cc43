"""Opening what a question is about: a converted network, or a model file with the options of its reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relu_shallow.domain import Domain
    from relu_shallow.questions.source import Source


def open_any(path: str, reading: dict[str, Any]) -> Source:
    """A converted file, a folder of regions, or a model; raises UsageError for options of a model given for others."""
    from relu_shallow.errors import UsageError
    from relu_shallow.load import load_network
    from relu_shallow.shallow.stored import is_converted, open_converted

    if not is_converted(path):
        return load_network(path, **reading)
    given = sorted(f"--{name.replace('_', '-')}" for name, value in reading.items() if value)
    if given:
        raise UsageError(f"{path} is a converted network, which is read as it is: {', '.join(given)} is for models")
    return open_converted(path)


def domain_over(
    spec: str | None, source: Source, options: dict[str, Any], default: str | None = None
) -> tuple[Source, Domain | None]:
    """(the source, with names from a data file where it had none, and the domain asked for); None: its own.

    `default` is a model's domain. Raises DomainError for a slice, and where a model has none.
    """
    from dataclasses import replace

    from relu_shallow.cli.output import say
    from relu_shallow.domain_spec import parse_domain
    from relu_shallow.errors import DomainError
    from relu_shallow.network import Network, named
    from relu_shallow.questions.source import network_of
    from relu_shallow.slices import Subspace

    if spec is None and isinstance(source, Network):
        spec = default
    if spec is None:
        if isinstance(source, Network):
            raise DomainError("a model needs a domain: give --domain box:LO,HI, data:FILE or ball:EPS@FILE:ROW")
        return source, None
    domain, names = parse_domain(spec, network_of(source), read_options=options, announce=say)
    if isinstance(domain, Subspace):
        raise DomainError(f"{spec!r} is a slice; convert the model on it (relu-shallow convert --domain {spec}), and "
                          "ask about the converted file")  # fmt: skip
    own = named(network_of(source), names)
    return (own if isinstance(source, Network) else replace(source, network=own)), domain


def counting(progress: Callable[[int], None]) -> Callable[[int], None]:
    """Progress that is told how many more, for one that is told how many in all."""
    done = 0

    def more(number: int) -> None:
        nonlocal done
        done += number
        progress(done)

    return more
