"""Explanations and pages that several tests look at, and a reader of pages."""

from html.parser import HTMLParser

import numpy as np

from relu_shallow.explanation import explain_rows
from relu_shallow.network import from_layers, named
from relu_shallow.report.answers import Wishes, ask
from relu_shallow.report.page import render
from relu_shallow.report.rows import chosen_rows

HOSTILE = "<script>alert('1')</script>"
NAMES = (HOSTILE, '" onerror="alert(1)', "costs $5 and $6_{", "{{ 7*7 }}", "日本語", "a & b")
OUTPUTS = ("<b>no</b>", "yes")
VOID = ("meta", "path", "input", "br")


def random_network(names=NAMES, outputs=OUTPUTS, head="softmax", hidden=5):
    """A network of one hidden layer with these names."""
    random, n, m = np.random.default_rng(0), len(names), len(outputs)
    layers = [(random.normal(size=(hidden, n)), random.normal(size=hidden)),
              (random.normal(size=(m, hidden)), np.zeros(m))]  # fmt: skip
    return named(from_layers(layers, head=head), names, outputs)


def explained(network, rows=30, method="local", **options):
    """Random rows, explained."""
    X = np.random.default_rng(1).normal(size=(rows, network.inputs))
    return explain_rows(network, X, method=method, **options)


def rendered(attribution, source, rows=(), wishes=None):
    """The page's text."""
    wishes = wishes or Wishes()
    chosen = chosen_rows(attribution, rows)
    return render(attribution, source, ask(attribution, source, chosen, wishes), chosen, wishes)


class Reader(HTMLParser):
    """The tags with their attributes, the text without styles and script, and what was left open or closed twice."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(page)
        self.words = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data):
        if not {"style", "script"} & {*self.open}:
            self.text += data

    def all(self, tag):
        """The attributes of every element of a name."""
        return [attributes for name, attributes in self.tags if name == tag]
