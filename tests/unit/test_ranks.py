"""How a node's cores are shared among its ranks."""

import pytest
from deepcam.ranks import share_of_cores


@pytest.mark.parametrize(("cores", "ranks"), [(8, 1), (8, 2), (8, 3), (2, 2), (64, 8)])
def test_shares_are_even_and_disjoint(cores, ranks):
    shares = [share_of_cores([list(range(cores))] * ranks, rank) for rank in range(ranks)]
    assert {len(share) for share in shares} == {cores // ranks}
    assert len(set().union(*shares)) == ranks * (cores // ranks)


def test_more_ranks_than_cores_share_them_all():
    assert share_of_cores([[4, 5]] * 3, 2) == (4, 5)


def test_what_the_launcher_bound_is_kept():
    assert share_of_cores([[0, 1], [2, 3]], 1) == (2, 3)
