"""Tables that figures are drawn from."""

import figure_example
import large_grid
import pytest


@pytest.fixture(scope="session")
def all_tables(tmp_path_factory):
    """A small grid: four splits of threads, three numbers of ranks, two readers and two engines."""
    return figure_example.make(tmp_path_factory.mktemp("accuracy"))


@pytest.fixture(scope="session")
def large():
    """A grid of ten readers, four batch sizes and six numbers of threads."""
    return large_grid.make()


@pytest.fixture(scope="session")
def few():
    """The large grid with two numbers of threads and two batch sizes."""
    return large_grid.make((1, 4), (1, 2))
