"""SQuAD's JSON to tokens, and answers to places."""

import json

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed").compat.v1

from tests.workload.support import ROOT  # noqa: E402
from workload import squad, texts, tokens  # noqa: E402
from workload.errors import UsageError  # noqa: E402

TEXT = "The café in Paris opened in 1889."


def question(words, answer):
    answers = [{"text": answer, "answer_start": TEXT.index(answer)}] if answer else []
    return {"id": words, "question": words, "answers": answers}


QUESTIONS = [question("Where?", "Paris"), question("When?", "in 1889"), question("Who?", None)]
SAMPLE = {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": TEXT, "qas": QUESTIONS}]}]}
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "where", "?", "the", "cafe", "in", "par", "##is", "open", "##ed", "."]


@pytest.fixture
def written(tmp_path):
    """A file of the sample, in a folder of its own."""
    file = tmp_path / "train-v1.1.json"
    file.write_text(json.dumps(SAMPLE))
    squad.opened.cache_clear()
    return file


def test_without_a_vocabulary_each_word_is_one_token_of_a_fixed_number(written):
    found = squad.opened(str(written), "train", 24, 30522)
    assert found.ids.shape == (3, 24)
    # [CLS] where ? [SEP] the cafe in paris opened in 1889 . [SEP]
    assert found.ids[0, [0, 3, 12]].tolist() == [101, 102, 102]
    assert found.ids[0, 13:].tolist() == [0] * 11
    assert found.ids[0, 6] == found.ids[0, 9], "the same word has the same number"
    assert found.ids[0, 4] != found.ids[0, 5]
    assert np.all(found.ids[0, [1, 2, 4, 5]] >= tokens.FIRST_WORD)
    assert found.bounds.tolist() == [[4, 13]] * 3
    assert found.labels.tolist() == [[7, 7], [9, 10], [0, 0]]


def test_with_a_vocabulary_words_are_cut_into_its_pieces(written):
    """Lower case, no accents, longest piece first; a word that cannot be put together is unknown."""
    (written.parent / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    found = squad.opened(str(written.parent), "train", 24, 30522)
    words = [VOCABULARY[number] for number in found.ids[0] if number]
    expected = "[CLS] where ? [SEP] the cafe in par ##is open ##ed in [UNK] . [SEP]"
    assert " ".join(words) == expected
    assert found.labels[0].tolist() == [7, 8]


def test_a_long_text_comes_in_parts_and_the_answer_in_that_which_has_it(written):
    found = squad.opened(str(written), "train", 10, 30522)
    places = [label for label in found.labels.tolist() if label != [0, 0]]
    assert len(found) > 3
    assert np.all(found.bounds[:, 1] <= 10)
    paris = tokens.Tokens(30522).of("Paris")[0][0]
    rows = [row for row, label in enumerate(found.labels.tolist()) if label != [0, 0]]
    assert found.ids[rows[0], places[0][0]] == paris


def taken(found, workers, training, count):
    rows = []
    for rank in range(workers):
        with tf.Graph().as_default(), tf.Session() as session:
            element = tf.data.make_one_shot_iterator(found.share(rank, workers, 1, training)).get_next()
            try:
                rows.extend(session.run(element)[2].tolist() for _ in range(count))
            except tf.errors.OutOfRangeError:
                continue
    return sorted(rows)


def test_workers_share_the_examples_and_training_never_ends(written):
    found = squad.opened(str(written), "train", 24, 30522)
    every = sorted(found.labels.tolist())
    assert taken(found, 2, False, 9) == every
    assert taken(found, 1, True, 6) == sorted(every * 2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.json", "{", "is not SQuAD's JSON"),
        ("train.json", '{"no": 1}', "is not SQuAD's JSON"),
        ("train.json", '{"data": []}', "has no question"),
        ("dev.json", "{}", "has no train"),
        ("other.json", "{}", "has neither"),
    ],
)
def test_what_is_not_squad_is_refused(tmp_path, name, content, message):
    squad.opened.cache_clear()
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        squad.opened(str(tmp_path), "train", 24, 30522)


def test_evaluation_needs_a_folder(written):
    with pytest.raises(UsageError, match="--evaluate needs a folder"):
        squad.opened(str(written), "validation", 24, 30522)


def test_a_vocabulary_without_the_special_tokens_is_refused(written):
    (written.parent / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(UsageError, match=r"must have \[CLS\]"):
        squad.opened(str(written), "train", 24, 30522)


CASES = ROOT / "tests" / "data" / "cases"


def labelled(case, length=64):
    """For each question of a case the text that its label stands for, None without one; and the Examples."""
    squad.opened.cache_clear()
    found = squad.opened(str(CASES / case), "train", length, 30522)
    file = CASES / case / "train.json"
    texts_by_question = [passage.text for passage in texts.read(str(file))[0] for _ in passage.questions]
    vocabulary = tokens.opened(str(CASES / case), 30522)
    answers = []
    for text, (begin, _), (first, last) in zip(texts_by_question, found.bounds, found.labels):
        places = vocabulary.of(text)
        answers.append(text[places[first - begin][1] : places[last - begin][2]] if last else None)
    return answers, found


@pytest.mark.parametrize(
    ("case", "answers"),
    [
        ("answer-not-where-it-says", ["a white house"] * 3),
        ("chinese", ["李明", "1931年"]),
        ("chinese-vocabulary", ["李明", "1931年"]),
        ("byte-order-mark", ["1931"]),
        ("no-answers-key", [None, None, "1931"]),
        ("korquad-2", ["1931"]),
        ("flat-questions", ["1931"]),
        ("parallel-answers", ["1931"]),
    ],
)
def test_the_label_of_a_case_is_its_answer(case, answers):
    assert labelled(case)[0] == answers


def test_no_character_of_a_vocabulary_is_unknown():
    assert not np.any(labelled("chinese-vocabulary")[1].ids == 100)
    # [CLS], the question's seven characters, [SEP], and then the text: each character a token.
    assert labelled("chinese")[1].bounds[0][0] == 9
