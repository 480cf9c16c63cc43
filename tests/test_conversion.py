"""What `convert` refuses before any work; run apart, as annotations are enforced in the tests only."""

import subprocess
import sys

import pytest

CODE = """
import numpy as np, relu_shallow as rs
layers = [(np.eye(2), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))]
try:
    rs.convert(rs.from_layers(layers), {})
except rs.ReluShallowError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("max_regions=0", "UsageError max_regions"),
        ("max_regions=-1", "UsageError max_regions"),
        ("max_regions=2.5", "UsageError max_regions"),
        ("max_regions='x'", "UsageError max_regions"),
        ("max_regions=True", "UsageError max_regions"),
        ("workers=0", "UsageError workers"),
        ("time_limit=-1", "UsageError time_limit"),
        ("time_limit=float('nan')", "UsageError time_limit"),
        ("'box:-1,1'", "DomainError a domain is a Box"),
        ("None", "DomainError a domain is a Box"),
    ],
)
def test_limits_and_domains_that_are_none_are_refused(arguments, words):
    code = CODE.replace("{}", arguments)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.startswith(words)
