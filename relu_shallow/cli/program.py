"""The group of commands: here they are listed, and failures become exit statuses."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from relu_shallow.cli import BAD_INPUT, DONE, interrupted
from relu_shallow.errors import ReluShallowError, printable

COMMANDS = ("estimate", "convert", "merge", "verify", "explain", "effects", "rules", "extremes", "monotone", "radius",
            "counterfactual", "interactions", "report", "modular", "inspect", "predict", "export", "plot")  # fmt: skip


class CommandLine(click.Group):
    """The group of commands, each imported when it is asked for; `main` is where every failure ends."""

    def list_commands(self, ctx: click.Context | None) -> list[str]:
        """The commands in the order in which they are used."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context | None, cmd_name: str) -> click.Command | None:
        """The command of a name, from the module of that name."""
        del ctx
        return import_module(f"relu_shallow.cli.{cmd_name}").command if cmd_name in COMMANDS else None

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; an interruption, or a reader of stdout that leaves early, ends it quietly."""
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # `predict ... | head`: the reader has all it wanted
            _abandon_stdout()
            return DONE
        except KeyboardInterrupt as stop:
            return interrupted(stop)
        return status

    def main(self, *args: Any, **extra: Any) -> Any:
        """Runs the command line and exits: 0 done, 1 the answer is no, 2 bad usage or input, 130 or 143 interrupted."""
        try:
            status = super().main(*args, **{**extra, "standalone_mode": False})
        except click.ClickException as error:
            _fail(error.format_message() + _usage_hint(error))
        except click.Abort as abort:  # interrupted while the arguments were read
            stop = abort.__cause__
            sys.exit(interrupted(stop if isinstance(stop, KeyboardInterrupt) else KeyboardInterrupt()))
        except ReluShallowError as error:
            _fail(str(error))
        except OSError as error:
            _fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
        except MemoryError:
            _fail(
                "there is not enough memory for this; look at a smaller domain (--domain), "
                "or stop with a partial list (--max-regions, --time-limit)"
            )
        sys.exit(status if isinstance(status, int) else DONE)


@click.command(
    cls=CommandLine,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 the answer is no, 2 bad usage or input, 130 interrupted, 143 terminated.",
)
@click.version_option(package_name="relu-shallow", prog_name="relu-shallow")
@click.pass_context
def command_line(ctx: click.Context) -> None:
    """Open a trained ReLU network: all its linear regions, an equal shallow network, explanations that add up.

    \b
    Example:
      relu-shallow convert model.onnx --domain box:-1,1
      relu-shallow verify model.shallow.safetensors
      relu-shallow explain model.shallow.safetensors patients.csv -o shap.csv --html report.html
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _fail(message: str) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:
        _abandon_stdout()
    click.echo(f"relu-shallow: {printable(message)}", err=True)
    sys.exit(BAD_INPUT)


def _abandon_stdout() -> None:
    """Sends what stdout still holds nowhere, or Python would try again on exit and fail with a status of its own."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage_hint(error: click.ClickException) -> str:
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    return f" (see: {ctx.command_path} --help)" if ctx else ""
