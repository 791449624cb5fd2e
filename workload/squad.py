"""SQuAD's JSON as tokens: ``[CLS] question [SEP] part of the text [SEP]``, padded to one length.

With a ``vocab.txt`` beside the JSON (one token a line, BERT's own) words are lower-cased and cut into WordPieces as
BERT does. Without one each word is one token, whose number is a hash of the word: enough to measure and to learn from
scratch, of no use with weights from elsewhere.
"""

import functools
import glob
import json
import os
import re
import unicodedata
import zlib

import numpy as np
import tensorflow.compat.v1 as tf

from workload.errors import UsageError

FIRST_WORD = 1000  # the numbers below are BERT's special and unused tokens
_SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102}
_QUESTION = 64  # tokens of a question at most
_STRIDE = 128  # tokens from the start of a part to the start of the next
_WORD = re.compile(r"\w+|[^\w\s]")


class Tokens(object):
    """Words to token numbers.

    Args:
        size: of the vocabulary.
        words: the vocabulary's tokens in order, or None for hashes.
    """

    def __init__(self, size, words=None):
        self._size = size
        self._numbers = {word: number for number, word in enumerate(words)} if words else None

    def special(self, name):
        """The number of ``[PAD]``, ``[UNK]``, ``[CLS]`` or ``[SEP]``."""
        return self._numbers[name] if self._numbers else _SPECIAL[name]

    def of(self, text):
        """``[(number, first character, character after the last)]``."""
        tokens = []
        for match in _WORD.finditer(text):
            tokens.extend((number, match.start(), match.end()) for number in self._word(_folded(match.group())))
        return tokens

    def _word(self, word):
        if self._numbers is None:
            return [FIRST_WORD + zlib.crc32(word.encode()) % (self._size - FIRST_WORD)]
        pieces, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                number = self._numbers.get(("##" if start else "") + word[start:end])
                if number is not None:
                    break
            else:
                return [self.special("[UNK]")]
            pieces.append(number)
            start = end
        return pieces


class Examples(object):
    """A split as arrays: ``ids`` [N, length], ``bounds`` [N, 2] (where the text begins; where padding begins) and
    ``labels`` [N, 2] (first and last token of the answer, 0 and 0 where this part of the text has none)."""

    def __init__(self, examples, length):
        self.ids = np.array([one[0] for one in examples], np.int32).reshape([-1, length])
        self.bounds = np.array([one[1] for one in examples], np.int32).reshape([-1, 2])
        self.labels = np.array([one[2] for one in examples], np.int32).reshape([-1, 2])

    def __len__(self):
        return len(self.ids)

    def share(self, rank, workers, seed, training):
        """This worker's examples one by one as a dataset; to train, shuffled anew each time round and without end."""
        own = np.random.RandomState(seed).permutation(len(self))[rank::workers] if training else None
        own = np.arange(len(self))[rank::workers] if own is None else own
        length = self.ids.shape[1]

        def each():
            order, random = own.copy(), np.random.RandomState(seed + rank)
            while len(order):
                if training:
                    random.shuffle(order)
                for number in order:
                    yield self.ids[number], self.bounds[number], self.labels[number]
                if not training:
                    return

        return tf.data.Dataset.from_generator(each, (tf.int32,) * 3, ([length], [2], [2]))


@functools.lru_cache(maxsize=2)
def opened(path, split, length, size):
    """The Examples of ``split`` ("train" or "dev") in a folder, or in the one file that is named.

    Args:
        path: a JSON file, or a folder with ``train*.json`` and ``dev*.json``.
        split: which of them.
        length: tokens in a sequence.
        size: of the vocabulary.

    Raises:
        UsageError: it is not there, not SQuAD's form, or has no question.
    """
    file, folder = path, os.path.dirname(path)
    if os.path.isdir(path):
        names = sorted(glob.glob(os.path.join(path, split + "*.json")))
        if not names:
            raise UsageError("%s has no %s*.json" % (path, split))
        file, folder = names[0], path
    elif split == "dev":
        raise UsageError("--evaluate needs a folder with train*.json and dev*.json, and %s is not one" % path)
    examples = list(_examples(_articles(file), _tokens(folder, size), length))
    if not examples:
        raise UsageError("%s has no question" % file)
    return Examples(examples, length)


def _articles(file):
    try:
        with open(file, encoding="utf-8") as text:
            return json.load(text)["data"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError("%s is not SQuAD's JSON: %s" % (file, error)) from error


def _tokens(folder, size):
    try:
        with open(os.path.join(folder, "vocab.txt"), encoding="utf-8") as lines:
            words = [line.rstrip("\n") for line in lines]
    except OSError:  # there need not be one
        return Tokens(size)
    if len(words) > size or not set(_SPECIAL) <= set(words):
        wanted = ", ".join(sorted(_SPECIAL))
        raise UsageError("%s/vocab.txt must have %s and at most %d tokens" % (folder, wanted, size))
    return Tokens(size, words)


def _examples(articles, tokens, length):
    """``(ids, bounds, labels)`` of each question and each part of its text."""
    start, end = tokens.special("[CLS]"), tokens.special("[SEP]")
    for article in articles:
        for paragraph in article["paragraphs"]:
            text = tokens.of(paragraph["context"])
            for question in paragraph["qas"]:
                # Short sequences must have room for the text as well.
                words = [number for number, _, _ in tokens.of(question["question"])[: min(_QUESTION, length // 2)]]
                begin = len(words) + 2
                answer = _answer(text, question.get("answers"))
                room = length - begin - 1
                for at in range(0, max(1, len(text) - room + min(_STRIDE, room)), min(_STRIDE, room)):
                    part = text[at : at + room]
                    inside = answer and at <= answer[0] and answer[1] < at + len(part)
                    ids = [start] + words + [end] + [number for number, _, _ in part] + [end]
                    padding = [tokens.special("[PAD]")] * (length - len(ids))
                    labels = [begin + place - at for place in answer] if inside else [0, 0]
                    yield ids + padding, (begin, len(ids)), labels


def _answer(text, answers):
    """The first and the last token of the first answer, None without one."""
    if not answers:
        return None
    begin = answers[0]["answer_start"]
    end = begin + len(answers[0]["text"])
    inside = [number for number, (_, first, after) in enumerate(text) if first < end and after > begin]
    return (inside[0], inside[-1]) if inside else None


def _folded(word):
    """Lower case without accents, as BERT's uncased vocabularies have it."""
    return "".join(mark for mark in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(mark) != "Mn")
