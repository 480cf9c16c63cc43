"""What the commands of relu-shallow modular print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relu_shallow.modular.account import Account
    from relu_shallow.modular.measuring import Measures
    from relu_shallow.modular.tables import Examples


def describe(account: Account, how: str, rows: Examples, trained: int, measured: int, out: str) -> dict[str, Any]:
    """What `modular make --json` and `modular train --json` print."""
    removal = account.removal
    classes = rows.task == "classes"
    return {
        "how": how,
        "task": rows.task,
        "classes": list(rows.classes),
        "rows": trained,
        "held_out": measured,
        "modules": len(account.sizes[0]),
        "sizes": account.sizes,
        "measure": "accuracy" if classes else "explained_variance",
        "stages": [{"name": stage.name, "score": stage.score, "clusterability": stage.clusterability}
                   for stage in account.stages],
        "published": list(account.published),
        "removal": {
            "proved": removal.share_proved if classes else None,
            "changed": removal.share_changed if classes else None,
            "largest_bound": float(removal.bound.max()),
            "largest_change": float(removal.change.max()),
            "box": [account.least, account.most],
        },
        "changed_in_all": account.in_all,
        "output": out,
    }  # fmt: skip


def account_lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    """What `modular make` and `modular train` print without --json."""
    removal, measure = report["removal"], report["measure"].replace("_", " ")
    sizes = ", ".join(_range(layer) for layer in report["sizes"])
    lines = [("rows", f"{report['rows']:,} trained on, {report['held_out']:,} measured on"),
             ("modules", f"{report['modules']}, with these neurons in each hidden layer: {sizes}")]  # fmt: skip
    lines += [(stage["name"], f"{measure} {stage['score']:.4f}, clusterability {stage['clusterability']:.7g}")
              for stage in report["stages"]]  # fmt: skip
    if "published" in report:
        lines.append(("published C", ", ".join(f"{C:.3f}" for C in report["published"])))
    path = report["output"]
    output = ("output", f"{path} (next: relu-shallow convert {path} --modular --domain data:FILE)")
    if report["how"] == "mask":
        return [*lines, output]
    if removal["proved"] is not None:
        lines.append(("removal", f"{removal['proved']:.1%} of the rows proved to keep their class, "
                      f"{removal['changed']:.1%} change it"))  # fmt: skip
    least, most = removal["box"]
    far = max(max(-low, high) for low, high in zip(least, most, strict=True))
    lines += [("on these rows", f"an output changes by {removal['largest_change']:.4g} at most, proved "
               f"{removal['largest_bound']:.4g}"),
              ("in their box", f"an output changes by at most {far:.4g}, proved")]  # fmt: skip
    in_all = report["changed_in_all"]
    told = f"{in_all:.1%} of the rows change their class" if removal["proved"] is not None else f"by up to {in_all:.4g}"
    return [*lines, ("with training", f"{told}, measured"), output]


def _range(sizes: list[int]) -> str:
    return str(min(sizes)) if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"


def describe_measures(found: Measures) -> dict[str, Any]:
    """What `modular measure --json` prints."""
    pairs = zip(found.circuits, found.published_circuits, strict=True)
    return {
        "clusterability": found.clusterability,
        "published": found.published,
        "accuracy": {"whole": found.accuracy.whole, "off": found.accuracy.off, "alone": found.accuracy.alone},
        "specialisation": found.specialised,
        "at_random": found.at_random,
        "circuits": [{"class": one.target, "weights": one.weights, "available": one.available, "answered": one.answered,
                      "published_weights": other.weights, "published_answered": other.answered}
                     for one, other in pairs],
    }  # fmt: skip


def measure_lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    """What `modular measure` prints without --json."""

    def percents(row: Any) -> str:
        return " ".join(f"{100 * value:4.0f}" for value in row)

    lines = [(f"C of hidden matrix {i}", f"{own:.7g} (as published: {other:.3f})")
             for i, (own, other) in enumerate(zip(report["clusterability"], report["published"], strict=True), start=1)]
    lines.append(("classes right, %", percents(report["accuracy"]["whole"])))
    for what in ("off", "alone"):
        lines += [(f"module {j} {what}", percents(row)) for j, row in enumerate(report["accuracy"][what])]
    lines.append(("specialisation", f"{report['specialisation']:.3f}; of random groups of neurons "
                  f"{report['at_random']:.3f}"))  # fmt: skip
    return lines + [
        (f"circuit of {one['class']}", f"{one['weights']:,} of {one['available']:,} weights, says yes to "
         f"{one['answered']:.0%} of the rows (as published: {one['published_weights']:,}, to "
         f"{one['published_answered']:.0%})") for one in report["circuits"]]  # fmt: skip
