from math import isclose

from allma_server.search.fusion import TYPICAL_SIGNAL, dense_weight, fuse, similarity_unit
from allma_server.types import Hit, Separation


def hits(**scores: float) -> list[Hit]:
    """Hits from `a=0.9`: chunk 1 is a, chunk 2 is b and so on."""
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    return [Hit(ord(name) - ord("a") + 1, score) for name, score in ranked]


def order(dense: list[Hit], lexical: list[Hit], depth: int = 100) -> str:
    return "".join(chr(f.chunk_id + ord("a") - 1) for f in fuse(dense, lexical, depth))


def test_one_list_alone_keeps_its_order():
    one = hits(a=0.9, b=0.7, c=0.2)
    assert order(one, []) == order([], one) == "abc"


def test_empty_lists_fuse_to_an_empty_list():
    assert fuse([], [], 100) == []


def test_a_candidate_of_both_lists_comes_before_those_of_one():
    assert order(hits(a=0.7, b=0.7, c=0.5), hits(a=8.0, d=8.0))[0] == "a"


def test_a_clear_lexical_winner_outweighs_a_small_dense_lead():
    assert order(hits(a=0.60, b=0.59, c=0.40), hits(b=25.0, c=5.0, a=4.0))[0] == "b"


def test_similar_lexical_scores_leave_the_order_to_the_dense_list():
    assert order(hits(a=0.7, b=0.5, c=0.3), hits(c=6.2, b=6.1, a=6.0)) == "abc"


def test_the_parts_of_a_score_are_kept():
    [first, second] = fuse(hits(a=0.9, b=0.5), hits(b=7.0), 100)
    assert (first.chunk_id, first.dense, first.dense_rank) == (1, 0.9, 1)
    assert (first.lexical, first.lexical_rank) == (None, None)
    assert (second.lexical, second.lexical_rank, second.dense_rank) == (7.0, 1, 2)
    assert second.score == 7.0


def test_a_candidate_missing_from_a_cut_list_counts_as_its_last_entry():
    dense, lexical = hits(a=0.9, b=0.5), hits(c=9.0, d=4.0)
    by_id = {f.chunk_id: f.score for f in fuse(dense, lexical, depth=2)}
    whole = {f.chunk_id: f.score for f in fuse(dense, lexical, depth=3)}
    assert isclose(by_id[2], 4.0)
    assert isclose(whole[2], 0.0)
    assert isclose(by_id[1] - whole[1], 4.0)


def test_a_chunk_whose_vector_is_still_to_be_made_counts_as_the_average_of_the_others():
    dense, lexical = hits(a=0.2, b=0.1), hits(c=12.0, a=6.0, b=5.0)
    assert [f.chunk_id for f in fuse(dense, lexical, 100)] == [1, 3, 2]
    waiting = fuse(dense, lexical, 100, without_vector={3})
    assert [f.chunk_id for f in waiting] == [3, 1, 2]
    parts = {f.chunk_id: f.dense_part for f in waiting}
    assert isclose(parts[3], (parts[1] + parts[2]) / 2)
    assert waiting[0].dense is None


def test_equal_cosines_do_not_change_the_order():
    assert order(hits(a=0.5, b=0.5), hits(b=3.0)) == "ba"
    assert [f.score for f in fuse(hits(a=0.5), [], 100)] == [0.0]


def test_the_ranking_does_not_depend_on_the_level_of_the_cosines():
    lexical = hits(a=3.0, b=9.0, c=5.0)
    high, low = hits(a=0.9, b=0.8, c=0.7), hits(a=0.5, b=0.4, c=0.3)
    assert order(high, lexical) == order(low, lexical)


def test_the_dense_weight_of_a_topic_grows_with_its_best_bm25_score_within_bounds():
    short, usual, long, endless = (dense_weight("heat in slabs", 0.0, s) for s in (1, 22, 40, 1e6))
    assert short < usual < long < endless < 3 * usual
    assert dense_weight("heat in slabs", 0.0, 0.0) == usual


def test_the_dense_weight_of_code_does_not_depend_on_bm25():
    assert dense_weight("parse a config", 1.0, 5.0) == dense_weight("parse a config", 1.0, 45.0)


def test_a_question_is_answered_more_by_its_words_than_a_topic_in_code_and_in_prose():
    for code_share in (0.0, 1.0):
        topic, question = (
            dense_weight(query, code_share, 22.0)
            for query in ("redirects followed", "where are redirects followed")
        )
        assert 0.6 < question / topic < 0.8


def test_meaning_counts_more_for_a_question_that_shares_few_words_with_any_passage():
    none, hardly, few, some, many = (
        dense_weight("Who kept the light?", 0.0, best) for best in (0.0, 0.1, 8.0, 20.0, 45.0)
    )
    assert hardly == 2 * some > few > some == many == none


def test_the_ranking_does_not_depend_on_the_spread_of_an_embedders_cosines():
    lexical = hits(a=3.0, b=9.0, c=5.0, d=14.0)
    wide, narrow = hits(a=0.8, b=0.6, c=0.3, d=0.2), hits(a=0.96, b=0.92, c=0.86, d=0.84)
    usual = fuse(wide, lexical, 100, unit=similarity_unit(Separation(0.4, 0.08)))
    squeezed = fuse(narrow, lexical, 100, unit=similarity_unit(Separation(0.08, 0.016)))
    for one, other in zip(usual, squeezed, strict=True):
        assert one.chunk_id == other.chunk_id
        assert isclose(one.score, other.score, rel_tol=1e-9)


def test_an_embedder_that_does_not_separate_answers_leaves_the_order_to_the_words():
    dense, lexical = hits(a=0.8, b=0.6, c=0.3), hits(c=9.0, b=8.0, a=7.0)
    for separation in (Separation(0.0, 0.1), Separation(-0.1, 0.1), Separation(0.0, 0.0)):
        found = fuse(dense, lexical, 100, unit=similarity_unit(separation))
        assert [f.chunk_id for f in found] == [3, 2, 1]


def test_an_embedder_that_was_not_measured_yet_counts_as_the_bundled_one():
    assert similarity_unit(None) == 1.0
    assert isclose(similarity_unit(Separation(TYPICAL_SIGNAL, 0.07)), 1.0)
