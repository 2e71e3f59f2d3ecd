"""The distribution of a node's cores over its ranks, and of ranks over nodes."""

import pytest
from deepcam.benchmark.ranks import check_even_distribution, share_of_cores
from deepcam.errors import InputError


@pytest.mark.parametrize(("cores", "ranks"), [(8, 1), (8, 2), (8, 3), (2, 2), (64, 8)])
def test_shares_are_even_and_disjoint(cores, ranks):
    shares = [share_of_cores([list(range(cores))] * ranks, rank) for rank in range(ranks)]
    assert {len(share) for share in shares} == {cores // ranks}
    assert len(set().union(*shares)) == ranks * (cores // ranks)


def test_more_ranks_than_cores_share_all_cores():
    assert share_of_cores([[4, 5]] * 3, 2) == (4, 5)


def test_the_binding_of_the_launcher_is_kept():
    assert share_of_cores([[0, 1], [2, 3]], 1) == (2, 3)


@pytest.mark.parametrize("ranks_of", [{"a": 1}, {"a": 4}, {"a": 4, "b": 4}, {"a": 3, "b": 2}, {"a": 2, "b": 2, "c": 1}])
def test_an_even_distribution_is_accepted(ranks_of):
    check_even_distribution(nodes(ranks_of))


@pytest.mark.parametrize("ranks_of", [{"a": 7, "b": 1}, {"a": 4, "b": 2}, {"a": 1, "b": 1, "c": 3}])
def test_an_uneven_distribution_is_rejected_with_the_node(ranks_of):
    crowded = max(ranks_of, key=ranks_of.get)
    message = f"{ranks_of[crowded]} of {sum(ranks_of.values())} started on {crowded}, one of {len(ranks_of)} nodes"
    with pytest.raises(InputError, match=message):
        check_even_distribution(nodes(ranks_of))


def nodes(ranks_of):
    return [name for name, count in ranks_of.items() for _ in range(count)]
