import numpy as np
import pytest

from allma_server.ports import Vector
from allma_server.search.feedback import centroid_similarity, softmax_weights


def unit(*numbers: float) -> Vector:
    vector = np.array(numbers, np.float32)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def test_the_best_passage_has_the_largest_weight_and_they_sum_to_one():
    weights = softmax_weights([*[1.0] * 9, 9.0, 5.0])
    assert max(weights, key=weights.__getitem__) == 9 and len(weights) == 2
    assert sum(weights.values()) == pytest.approx(1.0)
    assert softmax_weights([]) == {}


def test_the_best_of_few_passages_are_no_larger_share_of_them_than_those_of_many():
    counts = [len(softmax_weights([1.0] * total)) for total in (0, 1, 6, 12, 30, 100)]
    assert counts == [0, 1, 1, 3, 8, 8]


def test_a_passage_near_the_best_one_is_more_similar_than_a_distant_one():
    best, near, far = unit(1, 0, 0), unit(1, 0.2, 0), unit(0, 0, 1)
    of_best, of_near, of_far = centroid_similarity([30.0, 5.0, 5.0], [best, near, far])
    assert of_best > of_near > of_far


def test_a_passage_without_a_vector_has_the_average_similarity():
    similarity = centroid_similarity([30.0, 5.0, 5.0], [unit(1, 0), None, unit(0, 1)])
    assert similarity == pytest.approx([1.0, 0.5, 0.0])


def test_without_vectors_of_the_best_all_similarities_are_zero():
    assert centroid_similarity([3.0, 2.0], [None, None]) == [0.0, 0.0]
    assert centroid_similarity([], []) == []
    assert centroid_similarity([50.0] * 8 + [1.0], [None] * 8 + [unit(1, 0)]) == [0.0] * 9
