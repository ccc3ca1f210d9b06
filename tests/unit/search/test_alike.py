import numpy as np
import pytest

from allma_server.ports import Vector
from allma_server.search.feedback import alike, shares


def unit(*numbers: float) -> Vector:
    vector = np.array(numbers, np.float32)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def test_the_best_has_the_most_say_and_all_together_are_one():
    say = shares([1.0, 9.0, 5.0])
    assert max(say, key=say.__getitem__) == 1
    assert sum(say.values()) == pytest.approx(1.0)
    assert shares([]) == {}


def test_a_passage_near_the_best_one_is_more_alike_than_one_that_is_not():
    best, near, far = unit(1, 0, 0), unit(1, 0.2, 0), unit(0, 0, 1)
    of_best, of_near, of_far = alike([30.0, 5.0, 5.0], [best, near, far])
    assert of_best > of_near > of_far


def test_a_passage_without_a_vector_is_as_little_alike_as_the_least():
    likeness = alike([30.0, 5.0, 5.0], [unit(1, 0), None, unit(0, 1)])
    assert likeness[1] == likeness[2] == 0.0 < likeness[0]


def test_without_vectors_of_the_best_nothing_is_alike():
    assert alike([3.0, 2.0], [None, None]) == [0.0, 0.0]
    assert alike([], []) == []
    assert alike([50.0] * 8 + [1.0], [None] * 8 + [unit(1, 0)]) == [0.0] * 9
