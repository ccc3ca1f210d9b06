from allma_server.search.rescoring import rescore
from allma_server.types import Passage


def passages(*texts: str, score: float = 10.0) -> list[Passage]:
    return [
        Passage("/w/a.txt", "/w", 1, i, i, text, score, 1, 1, None, [], "file:///w/a.txt")
        for i, text in enumerate(texts)
    ]


def best(question: str, *texts: str, code: float = 0.0) -> str:
    scores = rescore(question, passages(*texts), code=code)
    return texts[max(range(len(texts)), key=scores.__getitem__)]


FILLER = "Nothing of interest is said here, only that days pass and the weather changes."


def test_every_passage_gets_a_score():
    assert len(rescore("two", passages("one", "two", "three"))) == 3
    assert rescore("two", []) == []


def test_any_text_can_be_rescored():
    odd = ["", "word " * 3000, "\ud83d half", "日本語", "\x00", "<<end", "12 > 3"]
    assert len(rescore("what? \ud800", passages(*odd))) == len(odd)


def test_adjacent_words_beat_the_same_words_apart():
    together = "The operating system schedules work. Machines of every kind are old."
    apart = "The system is old. Machines of every kind are operating; it schedules work."
    assert best("operating system", apart, together, FILLER) == together


def test_words_close_together_beat_words_scattered_over_the_passage():
    filler = "It rained for many days and nobody left the house in all that time. " * 3
    scattered = f"The oil came late. {filler} An embargo of books. {filler} It was proclaimed."
    close = f"The embargo on oil was proclaimed late. {filler} {filler} A book."
    assert best("Who proclaimed the embargo on oil?", scattered, close, FILLER) == close


def test_a_passage_similar_to_the_best_one_gains():
    found = passages("solar panels on the roof", "the roof panels", "a list of birthdays", score=0)
    scores = rescore("photovoltaics", found)
    assert scores[1] > scores[2]


def test_a_quoted_phrase_comes_first_even_in_code():
    plain = "def load(path): return open(path).read()  # [x] = {y}; {z}"
    exact = "def save(path): raise OSError('no space left'); x = {y}; [z]"
    assert best('"no space left"', plain, exact, plain + " ", code=1.0) == exact


def test_a_verbatim_message_in_code_comes_first():
    about = "class DiskFull: space = left; disk[device] = space(device); # the device, its disk"
    raised = 'def write(disk): raise OSError("No space is left on the device"); x[0] = {y(z)}'
    assert best("No space is left on the device.", about, raised, about + " ", code=1.0) == raised


def test_in_code_adjacent_words_do_not_count():
    found = passages("def read(list_a): return {list_a};", "def list(read, a): return {read: a};")
    first, second = rescore("list a", found, code=1.0)
    assert first == second


def test_in_code_the_function_with_the_words_close_together_comes_first():
    filler = "x[0] = y(x); z = {x: y[x]}\n" * 20
    apart = f"def load(path):\n    open(path)\n{filler}    parse(path)\n{filler}    config = 1"
    close = f"def load(path):\n    parse_config(open(path))\n{filler}{filler}    return x"
    assert best("parse a config", apart, close, filler, code=1.0) == close


def test_words_add_in_proportion_to_what_words_have_found():
    question = "Who proclaimed the embargo on oil?"
    found = passages("The embargo on oil was proclaimed.", FILLER, score=0.0)
    full, half, none = (
        rescore(question, found, evidence=evidence)[0] for evidence in (1.0, 0.5, 0.0)
    )
    assert full > half > none == 0.0


def test_a_sentence_of_a_script_without_spaces_is_as_long_as_one_with_spaces():
    filler = "その年は雨が多くて村の人は誰も外へ出なかった。" * 6
    scattered = f"石油が届いた。{filler}禁輸の本。{filler}それが布告された。"
    close = f"石油を国へ運ぶ船を港に入れないという禁輸が布告された。{filler}{filler}本。"
    assert best("石油の禁輸を布告したのは誰", scattered, close, filler) == close


def test_a_query_of_stop_words_and_empty_passages_get_scores():
    assert len(rescore("who are you", passages("", "you are who you are"))) == 2
    assert rescore("", passages("")) == [10.0]
