"""Records of many numbers name themselves in one short line."""

import numpy as np

from relu_shallow.domain import Box
from relu_shallow.network import from_layers
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network


def test_each_record_is_one_short_line_that_says_its_size():
    random = np.random.default_rng(0)
    network = from_layers([(random.normal(size=(9, 2)), random.normal(size=9)), (np.ones((1, 9)), np.zeros(1))])
    partition = enumerate_regions(network, Box(-1, 1))
    shallow = shallow_network(partition)
    for record, word in (
        (network, "(9,)"),
        (partition, f"{partition.regions} regions on the box [-1, 1]^2"),
        (shallow, f"{shallow.half_spaces} half-spaces"),
        (shallow.table, f"regions={shallow.regions}"),
    ):
        assert word in repr(record)
        assert len(repr(record)) < 120
        assert "\n" not in repr(record)
