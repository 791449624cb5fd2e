"""Text to tokens as BERT does it: its basic tokeniser, then WordPiece where there is a vocabulary.

Control characters are dropped, and every CJK character and every punctuation mark is a word of its own. Words are
lower-cased and lose their accents, and Hangul its syllables, unless the vocabulary itself has such forms, as cased ones
do. Each token knows the characters of the text that it stands for.
"""

import functools
import os
import re
import unicodedata
import zlib

from workload.entries import shown
from workload.errors import UsageError

FIRST_WORD = 1000  # the numbers below are BERT's special and unused tokens
_SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102}
_LONGEST_WORD = 100  # characters; BERT has no pieces for longer ones
_KEPT_SHARE = 0.01  # of a vocabulary's tokens with capitals or accents, from which on they matter to it
_PIECE = re.compile(r"[A-Za-z0-9]+|.", re.DOTALL)
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_SPACE, _ALONE, _PART = "space", "alone", "part"


class Tokens(object):
    """Words to token numbers.

    Args:
        size: of the vocabulary.
        vocabulary: its tokens in order, or None: each word is then one token, numbered by a hash.
    """

    def __init__(self, size, vocabulary=None):
        self._size = size
        self._numbers = {token: number for number, token in enumerate(vocabulary)} if vocabulary else None
        self._lower = not _keeps_its_forms(vocabulary or [])

    def special(self, name):
        """The number of ``[PAD]``, ``[UNK]``, ``[CLS]`` or ``[SEP]``."""
        return self._numbers[name] if self._numbers else _SPECIAL[name]

    def of(self, text):
        """``[(number, first character, character after the last)]``."""
        return [token for word, places in words(text, self._lower) for token in self._pieces(word, places)]

    def _pieces(self, word, places):
        """The tokens of one word, each of whose characters comes from that place in the text."""
        if self._numbers is None:
            # Half of a surrogate pair, as JSON may hold it, is a character like any other.
            number = FIRST_WORD + zlib.crc32(word.encode("utf-8", "surrogatepass")) % (self._size - FIRST_WORD)
            return [(number, places[0], places[-1] + 1)]
        unknown = [(self.special("[UNK]"), places[0], places[-1] + 1)]
        if len(word) > _LONGEST_WORD:
            return unknown
        pieces, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                number = self._numbers.get(("##" if start else "") + word[start:end])
                if number is not None:
                    break
            else:
                return unknown
            pieces.append((number, places[start], places[end - 1] + 1))
            start = end
        return pieces


def words(text, lower=True):
    """BERT's basic tokeniser: ``[(word, places)]``, where ``places`` has for each character its place in the text."""
    spans, letters, places = [], [], []

    def end():
        if letters:
            spans.append(("".join(letters), places[:]))
            del letters[:], places[:]

    for match in _PIECE.finditer(text):
        piece, start = match.group(), match.start()
        if len(piece) > 1:
            letters.extend(piece.lower() if lower else piece)
            places.extend(range(start, match.end()))
            continue
        for kind, letter in _classified(piece, lower):
            if kind != _PART:
                end()
            if kind != _SPACE:
                letters.append(letter)
                places.append(start)
            if kind == _ALONE:
                end()
    end()
    return spans


@functools.lru_cache(maxsize=65536)
def _classified(character, lower):
    """What becomes of one character: ``[(kind, character)]``, several where it is decomposed, none where it goes."""
    category = unicodedata.category(character)
    if character not in "\t\n\r" and (category in ("Cc", "Cf") or character == "\ufffd"):
        return []
    alone = any(first <= ord(character) <= last for first, last in _IDEOGRAPHS)
    letters = _folded(character) if lower else character
    return [(_ALONE if alone or _is_punctuation(letter) else _kind(letter), letter) for letter in letters]


def _kind(letter):
    return _SPACE if letter.isspace() else _PART


def _is_punctuation(letter):
    ascii_mark = "!" <= letter <= "~" and not letter.isalnum()
    return ascii_mark or unicodedata.category(letter).startswith("P")


def _folded(text):
    """Lower case without accents: what BERT's uncased vocabularies are made of."""
    return "".join(part.lower() for part in unicodedata.normalize("NFD", text) if unicodedata.category(part) != "Mn")


def _keeps_its_forms(vocabulary):
    """Whether capitals, accents and composed syllables are part of it, so that a text must keep its own."""
    kept = sum(token != _folded(token) and not token.startswith("[") for token in vocabulary)  # [MASK] is nobody's word
    return kept > _KEPT_SHARE * len(vocabulary)


def opened(folder, size):
    """The Tokens of ``vocab.txt`` in that folder; without one, hashes.

    Raises:
        UsageError: it cannot be read, lacks a special token, or has more tokens than ``size``.
    """
    path = os.path.join(folder, "vocab.txt")
    if not os.path.exists(path):
        return Tokens(size)
    try:
        with open(path, encoding="utf-8-sig") as lines:
            vocabulary = [line.rstrip("\n") for line in lines]
    except (OSError, ValueError) as error:
        raise UsageError("%s cannot be read as UTF-8 text: %s" % (shown(path), error)) from error
    if len(vocabulary) > size or not set(_SPECIAL) <= set(vocabulary):
        raise UsageError("%s must have %s and at most %d tokens" % (shown(path), ", ".join(sorted(_SPECIAL)), size))
    return Tokens(size, vocabulary)
