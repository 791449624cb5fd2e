"""Questions, texts and answers out of JSON: SQuAD's form and those near it.

Read are SQuAD 1.1 and 2.0 (``data``, ``paragraphs``, ``qas``), KorQuAD 2 (an article that is its own paragraph, one
``answer``), Hugging Face's flat form (``context`` and ``question`` side by side, answers as parallel lists), each also
as a bare list or with one object a line; UTF-8 with or without a byte order mark, UTF-16 and UTF-32.

Where an answer stands is believed only when its text is there. ``answer_start`` may count code points, UTF-16 units or
bytes; an answer that stands elsewhere, and just once, is found again; any other question is left out and counted.
"""

import json
import re
from typing import List, NamedTuple, Optional, Tuple

from workload.entries import shown
from workload.errors import UsageError
from workload.tokens import words

_KINDS = {
    str: "text",
    list: "a list",
    dict: "an object",
    int: "a whole number",
    type(None): "null",
    bool: "true or false",
}
_EXAMPLES = 5


class Question(NamedTuple):
    """A question, and its answer's first character and that after its last; None when the text has no answer."""

    text: str
    answer: Optional[Tuple[int, int]]


class Passage(NamedTuple):
    """A text with its questions."""

    text: str
    questions: List[Question]


class Counts(object):
    """What became of the questions; ``examples`` are sentences on the first that were found again or left out."""

    def __init__(self):
        self.questions = self.answered = self.unanswerable = self.found_again = self.left_out = 0
        self.examples = []

    def warnings(self):
        """What people should know of answers that are not where they are said to be."""
        if not self.found_again + self.left_out:
            return []
        return [
            "%d of %d answers are not where they are said to be: %d found again, %d questions left out (%s)"
            % (
                self.found_again + self.left_out,
                self.answered + self.left_out,
                self.found_again,
                self.left_out,
                "; ".join(self.examples),
            )
        ]


def read(path):
    """``(passages, counts)`` of a file.

    Raises:
        UsageError: it cannot be read, or is of none of the forms; with file, article and field.
    """
    passages, counts = [], Counts()
    for context, question, place in _questions(_articles(path), shown(path)):
        counts.questions += 1
        answers = _answers(question, place)
        text = _field(question, "question", str, place)
        span = None
        if answers:
            span, again = _located(context, answers)
            if span is None:
                counts.left_out += 1
                _example(counts, "%s: it is empty, not in the text, or there several times" % place)
                continue
            counts.answered += 1
            if again:
                counts.found_again += 1
                _example(counts, "%s: found again" % place)
        else:
            counts.unanswerable += 1
        if not passages or passages[-1].text != context:
            passages.append(Passage(context, []))
        passages[-1].questions.append(Question(text, span))
    return passages, counts


def _example(counts, sentence):
    """Keep one of the first; the file is known where it is told."""
    if len(counts.examples) < _EXAMPLES:
        counts.examples.append(sentence.partition(", ")[2])


def _articles(path):
    """The articles, or flat questions, in a file."""
    try:
        with open(path, "rb") as file:
            content = file.read()
        try:
            root = json.loads(content)
        except json.JSONDecodeError:
            root = _by_line(content)
    except OSError as error:
        raise UsageError("%s cannot be read: %s" % (shown(path), error.strerror)) from error
    except (ValueError, RecursionError) as error:
        raise UsageError("%s is not SQuAD's JSON: %s" % (shown(path), error)) from error
    if isinstance(root, dict) and "data" in root:
        root = root["data"]
    elif isinstance(root, dict) and ("paragraphs" in root or "context" in root):
        root = [root]
    if not isinstance(root, list):
        raise UsageError('%s is not SQuAD\'s JSON: it has no list "data"' % shown(path))
    return root


def _by_line(content):
    """One object a line; raises the whole content's own error where that is not it either."""
    lines = [line for line in content.splitlines() if line.strip()]
    try:
        if len(lines) < 2:
            raise ValueError
        return [json.loads(line) for line in lines]
    except ValueError:
        return json.loads(content)


def _questions(articles, file):
    """``(context, question, where it is)`` of each question."""
    for number, article in enumerate(articles, 1):
        place = "%s, article %d" % (file, number)
        _expect(article, dict, place)
        if isinstance(article.get("title"), str):
            place += " (%s)" % json.dumps(article["title"], ensure_ascii=True)
        if "paragraphs" in article:
            for at, paragraph in enumerate(_field(article, "paragraphs", list, place), 1):
                for question in _paragraph(paragraph, "%s, paragraph %d" % (place, at)):
                    yield question
        elif "context" not in article:
            raise UsageError('%s has neither "paragraphs" nor a "context"' % place)
        elif "qas" in article or "question" not in article:
            for question in _paragraph(article, place):
                yield question
        else:
            yield _field(article, "context", str, place), article, place


def _paragraph(paragraph, place):
    _expect(paragraph, dict, place)
    context = _field(paragraph, "context", str, place)
    for number, question in enumerate(_field(paragraph, "qas", list, place), 1):
        where = "%s, question %d" % (place, number)
        _expect(question, dict, where)
        yield context, question, where


def _answers(question, place):
    """``[(text, where it is said to begin)]``: none for a question that is impossible."""
    if question.get("is_impossible") is not None and _field(question, "is_impossible", bool, place):
        return []
    key = "answer" if "answers" not in question and "answer" in question else "answers"
    answers = question.get(key)
    place += ', "%s"' % key
    if answers is None:
        return []
    if isinstance(answers, dict) and isinstance(answers.get("text"), list):
        texts, starts = answers["text"], _field(answers, "answer_start", list, place)
        if len(texts) != len(starts):
            raise UsageError('%s: %d "text" and %d "answer_start"' % (place, len(texts), len(starts)))
        answers = [{"text": text, "answer_start": start} for text, start in zip(texts, starts)]
    elif isinstance(answers, dict):
        answers = [answers]
    _expect(answers, list, place)
    for answer in answers:
        _expect(answer, dict, place)
    return [(_field(answer, "text", str, place), _field(answer, "answer_start", int, place)) for answer in answers]


def _field(item, name, kind, place):
    if name not in item:
        raise UsageError('%s has no "%s"' % (place, name))
    _expect(item[name], kind, '%s, "%s"' % (place, name))
    return item[name]


def _expect(value, kind, place):
    # Python's true is a number, JSON's is not.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UsageError("%s is %s and must be %s" % (place, _KINDS.get(type(value), "a number"), _KINDS[kind]))


def _located(context, answers):
    """``(span, found again)`` of the first answer that can be located, else ``(None, False)``."""
    patterns = [(_pattern(text), start + len(text) - len(text.lstrip())) for text, start in answers if words(text)]
    for pattern, start in patterns:
        match = _said(pattern, context, start)
        if match:
            return match.span(1), False
    for pattern, _ in patterns:
        matches = list(pattern.finditer(context))
        if len(matches) == 1:
            return matches[0].span(1), True
    return None, False


def _pattern(text):
    """What finds the answer, also where it overlaps itself, whatever white space is between its words."""
    return re.compile("(?=(%s))" % r"\s+".join(re.escape(part) for part in text.split()))


def _said(pattern, context, start):
    """The match where the answer is said to begin: in code points, UTF-16 units or bytes."""
    if start < 0:
        return None
    match = pattern.match(context, min(start, len(context)))
    for encoding, size in (("utf-16-le", 2), ("utf-8", 1)):
        if not match:
            before = context.encode(encoding, "surrogatepass")[: start * size]
            match = pattern.match(context, len(before.decode(encoding, "ignore")))
    return match
