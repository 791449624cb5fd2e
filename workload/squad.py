"""SQuAD's JSON as tokens: ``[CLS] question [SEP] part of the text [SEP]``, padded to one length.

With a ``vocab.txt`` beside the JSON (one token a line, BERT's own) words are cut into WordPieces as BERT does. Without
one each word is one token, whose number is a hash of the word: enough to measure and to learn from
scratch, of no use with weights from elsewhere.
"""

import functools
import os

import numpy as np
import tensorflow.compat.v1 as tf

from workload import layouts, texts, tokens
from workload.entries import shown
from workload.errors import UsageError

_QUESTION = 64  # tokens of a question at most
_STRIDE = 128  # tokens from the start of a part to the start of the next


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
    """The Examples of a split ("train" or "validation") in a folder, or in the one file that is named.

    Args:
        path: a JSON file, or a folder with ``train*.json`` and ``dev*.json``.
        split: which of them.
        length: tokens in a sequence.
        size: of the vocabulary.

    Raises:
        UsageError: it is not there, of no form that is read, or has no question.
    """
    (file,) = layouts.opened(path, texts=True).split(split).files
    examples = list(_examples(texts.read(file)[0], tokens.opened(os.path.dirname(file), size), length))
    if not examples:
        raise UsageError("%s has no question" % shown(file))
    return Examples(examples, length)


def _examples(passages, vocabulary, length):
    """``(ids, bounds, labels)`` of each question and each part of its text."""
    start, end = vocabulary.special("[CLS]"), vocabulary.special("[SEP]")
    for passage in passages:
        text = vocabulary.of(passage.text)
        for question in passage.questions:
            # Short sequences must have room for the text as well.
            words = [number for number, _, _ in vocabulary.of(question.text)[: min(_QUESTION, length // 2)]]
            begin = len(words) + 2
            answer = _answer(text, question.answer)
            room = length - begin - 1
            for at in range(0, max(1, len(text) - room + min(_STRIDE, room)), min(_STRIDE, room)):
                part = text[at : at + room]
                inside = answer and at <= answer[0] and answer[1] < at + len(part)
                ids = [start] + words + [end] + [number for number, _, _ in part] + [end]
                padding = [vocabulary.special("[PAD]")] * (length - len(ids))
                labels = [begin + place - at for place in answer] if inside else [0, 0]
                yield ids + padding, (begin, len(ids)), labels


def _answer(text, span):
    """The first and the last token of those characters, None without any."""
    if not span:
        return None
    inside = [number for number, (_, first, after) in enumerate(text) if first < span[1] and after > span[0]]
    return (inside[0], inside[-1]) if inside else None
