"""Questions out of JSON: the forms that are read, where answers stand, and that only our own error comes out."""

import copy
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workload import texts
from workload.errors import UsageError

CONTEXT = "The harbour was built in 1931 by the town council. The town paid; 1931 was a dry year."
ANSWER = {"text": "1931", "answer_start": 25}


def article(**fields):
    return {"title": "t", "paragraphs": [{"context": CONTEXT, "qas": [{"id": "1", "question": "When?", **fields}]}]}


FORMS = {
    "SQuAD": {"version": "1.1", "data": [article(answers=[ANSWER])]},
    "SQuAD 2": {"version": "v2.0", "data": [article(answers=[ANSWER], is_impossible=False)]},
    "KorQuAD 2": {"data": [{"title": "t", "context": CONTEXT, "qas": [{"question": "When?", "answer": ANSWER}]}]},
    "Hugging Face": {
        "data": [{"context": CONTEXT, "question": "When?", "answers": {"text": ["1931"], "answer_start": [25]}}]
    },
    "parallel lists": {"data": [article(answers={"text": ["1931"], "answer_start": [25]})]},
    "one answer": {"data": [article(answers=ANSWER)]},
    "a bare list": [article(answers=[ANSWER])],
    "one article": article(answers=[ANSWER]),
}


def read(tmp_path, content):
    file = tmp_path / "train.json"
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return texts.read(str(file))


def answers(tmp_path, content):
    """The text of each question's answer, None for none."""
    passages, _ = read(tmp_path, content)
    return [
        question.answer and passage.text[slice(*question.answer)]
        for passage in passages
        for question in passage.questions
    ]


@pytest.mark.parametrize("form", sorted(FORMS))
def test_forms(tmp_path, form):
    passages, counts = read(tmp_path, FORMS[form])
    assert passages == [(CONTEXT, [("When?", (25, 29))])]
    assert (counts.questions, counts.answered, counts.found_again, counts.left_out) == (1, 1, 0, 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings(tmp_path, encoding):
    assert answers(tmp_path, json.dumps(FORMS["SQuAD"], indent=1).replace("\n", "\r\n").encode(encoding)) == ["1931"]


def test_one_object_a_line(tmp_path):
    lines = [json.dumps(one) for one in FORMS["Hugging Face"]["data"] * 2]
    assert answers(tmp_path, "\r\n".join(lines).encode("utf-8-sig")) == ["1931", "1931"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"answers": []},
        {"answers": None},
        {"answers": {"text": [], "answer_start": []}},
        {"answers": [], "is_impossible": True, "plausible_answers": [ANSWER]},
        {"answers": [ANSWER], "is_impossible": True},
    ],
)
def test_questions_without_an_answer(tmp_path, fields):
    _, counts = read(tmp_path, [article(**fields)])
    assert answers(tmp_path, [article(**fields)]) == [None]
    assert (counts.unanswerable, counts.answered, counts.left_out) == (1, 0, 0)


EMOJI = "🤗🤗 Καλημέρα: the café opened in 1889, the café closed in 1931."


@pytest.mark.parametrize(
    ("context", "text", "start", "found", "again"),
    [
        (CONTEXT, "town council", 37, (37, 49), False),
        (CONTEXT, "town council", 0, (37, 49), True),
        (CONTEXT, "town council", -1, (37, 49), True),
        (CONTEXT, "town council", 10**30, (37, 49), True),
        (CONTEXT, "1931", 66, (66, 70), False),
        (CONTEXT, "1931", 24, None, False),
        (CONTEXT, "town council", 36, (37, 49), True),
        (CONTEXT, "1931", 0, None, False),
        (CONTEXT, "1932", 25, None, False),
        (CONTEXT, "", 0, None, False),
        (CONTEXT, " \u200b", 0, None, False),
        (CONTEXT, " town council ", 36, (37, 49), False),
        (EMOJI, "café", 17, (17, 21), False),
        (EMOJI, "café", len(EMOJI[:17].encode("utf-16-le")) // 2, (17, 21), False),
        (EMOJI, "café", len(EMOJI[:17].encode()), (17, 21), False),
        (EMOJI, "café", len(EMOJI[:42].encode()), (42, 46), False),
        (EMOJI, "café", 18, None, False),
        ("in a\u00a0white\n house", "a white house", 3, (3, 17), False),
        ("in a\u00a0white\n house", "a white house", 1, (3, 17), True),
        ("aaa", "aa", 5, None, False),
    ],
)
def test_where_an_answer_stands(tmp_path, context, text, start, found, again):
    """In code points, UTF-16 units or bytes; found again when it stands once; else the question is left out."""
    question = {"question": "?", "answers": [{"text": text, "answer_start": start}]}
    passages, counts = read(tmp_path, [{"context": context, "qas": [question]}])
    assert [one.answer for passage in passages for one in passage.questions] == ([found] if found else [])
    assert (counts.found_again, counts.left_out) == (int(again), 0 if found else 1)
    assert bool(counts.warnings()) == (again or not found)


def test_the_first_answer_that_stands_where_it_is_said_to_counts(tmp_path):
    given = [{"text": "1931", "answer_start": 0}, {"text": "the town council", "answer_start": 33}]
    assert answers(tmp_path, [article(answers=given)]) == ["the town council"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"no": 1}, 'is not SQuAD\'s JSON: it has no list "data"'),
        ({"data": {"a": 1}}, 'is not SQuAD\'s JSON: it has no list "data"'),
        (b"{", "is not SQuAD's JSON: Expecting property name"),
        (b"", "is not SQuAD's JSON"),
        (b"\xff\xfe\xff", "is not SQuAD's JSON"),
        (b"[" * 100000, "is not SQuAD's JSON"),
        (json.dumps(FORMS["SQuAD"]).encode()[:-9], "is not SQuAD's JSON"),
        ([{"title": "Ports", "url": "u"}], 'article 1 ("Ports") has neither "paragraphs" nor a "context"'),
        ([article(), article(answers=[{"text": "1931"}])],
         'article 2 ("t"), paragraph 1, question 1, "answers" has no "answer_start"'),
        ([{"context": CONTEXT}], 'article 1 has no "qas"'),
        ([{"context": CONTEXT, "qas": [{}]}], 'article 1, question 1 has no "question"'),
        ([{"context": CONTEXT, "qas": [None]}], "article 1, question 1 is null and must be an object"),
        ([{"context": 5, "qas": []}], 'article 1, "context" is a whole number and must be text'),
        ([article(answers=[{"text": "1931", "answer_start": "5"}])], '"answer_start" is text and must be a whole'),
        ([article(answers=[{"text": "1931", "answer_start": True}])], '"answer_start" is true or false'),
        ([article(answers=[{"text": "1931", "answer_start": 2.5}])], '"answer_start" is a number'),
        ([article(answers={"text": ["1931"], "answer_start": []})], '"answers": 1 "text" and 0 "answer_start"'),
        ([article(answers=["1931"])], '"answers" is text and must be an object'),
        ([article(is_impossible="no")], '"is_impossible" is text and must be true or false'),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_file_article_and_field(tmp_path, content, message):
    with pytest.raises(UsageError) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(str(tmp_path / "train.json"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def places(value, path=()):
    """The path to everything in some JSON."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["text", "context", "qas"]), inner),
    max_leaves=3,
)


@st.composite
def spoilt(draw):
    """The bytes of a valid file in which some keys are dropped and values changed, perhaps cut short."""
    holder = [copy.deepcopy(draw(st.sampled_from(sorted(FORMS.items())))[1])]
    for _ in range(draw(st.integers(1, 3))):
        *inside, last = draw(st.sampled_from([path for path in places(holder) if path]))
        parent = holder
        for key in inside:
            parent = parent[key]
        if len(inside) and draw(st.booleans()):
            del parent[last]
        else:
            parent[last] = draw(anything)
    content = json.dumps(holder[0]).encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 4)) == 0 else content


@settings(
    max_examples=int(os.environ.get("PROVISIONER_EXAMPLES", "500")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=spoilt())
def test_any_spoilt_file_is_read_or_refused_with_our_error(tmp_path, content):
    try:
        passages, counts = read(tmp_path, content)
    except UsageError:
        return
    assert counts.questions == counts.answered + counts.unanswerable + counts.left_out
    for passage in passages:
        for question in passage.questions:
            assert question.answer is None or passage.text[slice(*question.answer)].strip()
