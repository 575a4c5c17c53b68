"""How an alias's weights decide on a version."""

from scones.cloud.services.stepfunctions.executions import route


def test_versions_are_drawn_in_the_proportion_of_their_weights() -> None:
    drawn = [route([(1, 30), (2, 70)], f"token-{number}") for number in range(2000)]
    assert set(drawn) == {1, 2}
    assert 500 < drawn.count(1) < 700


def test_a_version_without_weight_is_never_drawn() -> None:
    assert {route([(1, 0), (2, 100)], str(number)) for number in range(200)} == {2}
