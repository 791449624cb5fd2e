"""Texts to BERT's tokens, as the reference tokeniser makes them."""

import unicodedata

import pytest
import tokenizers
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workload.support import ROOT
from workload import tokens
from workload.errors import UsageError

SCRIPTS = yaml.safe_load((ROOT / "tests" / "data" / "scripts.yaml").read_text(encoding="utf-8"))
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def vocabulary(lower):
    """Pieces of the scripts' words: each character alone, and the first letters of every second word, so that words are
    found whole, in pieces, and not at all."""
    pieces = []
    for text in SCRIPTS.values():
        for number, (word, _) in enumerate(tokens.words(text, lower)):
            pieces += (
                [word]
                if number % 3 == 0
                else [word[:2], *("##" + letter for letter in word)]
                if number % 3 == 1
                else []
            )
    return SPECIAL + sorted(set(pieces) - set(SPECIAL))


def reference(lower, pieces):
    """The reference: the package `tokenizers`, put together as for BERT."""
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lower)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return made


CASED = ["The", "House", "Of", "Commons"]
"""Makes a vocabulary one that tells capitals from small letters."""


@pytest.mark.parametrize("lower", [True, False], ids=["uncased", "cased"])
@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_tokens_are_the_references(script, lower):
    pieces = vocabulary(lower) + ([] if lower else CASED)
    ours = tokens.Tokens(len(pieces), pieces).of(SCRIPTS[script])
    theirs = reference(lower, pieces).encode(SCRIPTS[script])
    assert [number for number, _, _ in ours] == theirs.ids
    assert any(number != pieces.index("[UNK]") for number in theirs.ids), "the comparison is of more than unknown words"


def is_settled(character):
    """Whether it is what it was in old Unicode; the reference has old tables, and drops what is for private use."""
    old = unicodedata.ucd_3_2_0.category(character)
    return old == unicodedata.category(character) and old not in ("Co", "Cs", "Cn")


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters().filter(is_settled), max_size=30))
def test_words_of_any_text_are_the_references(text):
    made = reference(True, SPECIAL)
    theirs = made.pre_tokenizer.pre_tokenize_str(made.normalizer.normalize_str(text))
    assert [word for word, _ in tokens.words(text)] == [word for word, _ in theirs]


@given(st.text(max_size=30))
def test_each_token_knows_its_characters(text):
    places = [place for _, first, after in tokens.Tokens(30522).of(text) for place in (first, after)]
    assert places == sorted(places)
    assert all(0 <= place <= len(text) for place in places)


def test_half_of_a_surrogate_pair_is_a_character_like_any_other():
    assert len(tokens.Tokens(30522).of("a \ud83d b")) == 3


def test_pieces_know_their_characters():
    """Also where one character is several in the vocabulary, or none."""
    pieces = [*SPECIAL, "par", "##is", "ᄒ", "##ᅡ", "##ᆫ"]
    text = "Pa\u00adrís 한"
    found = [(pieces[number], text[first:after]) for number, first, after in tokens.Tokens(9, pieces).of(text)]
    assert found == [("par", "Pa\u00adr"), ("##is", "ís"), ("ᄒ", "한"), ("##ᅡ", "한"), ("##ᆫ", "한")]


@pytest.mark.parametrize(
    ("words", "text", "numbers"),
    [
        (["Paris", "paris", "é", "e"], "Paris é", [4, 6]),
        (["paris", "e", "[MASK]"], "Paris é", [4, 5]),
        (["서울", "##은", "한"], "서울은 한", [4, 5, 6]),
        (["नमस्ते", "नमसत"], "नमस्ते", [4]),
        (["がく", "かく"], "がく", [4]),
    ],
)
def test_a_vocabulary_with_forms_that_folding_would_change_keeps_them(words, text, numbers):
    """Capitals, accents, Hangul's syllables, vowel signs, voiced kana."""
    vocabulary = [*SPECIAL, *words]
    assert [number for number, _, _ in tokens.Tokens(len(vocabulary), vocabulary).of(text)] == numbers


@pytest.mark.parametrize("content", ["\n".join([*SPECIAL, "a"]), "\ufeff" + "\r\n".join([*SPECIAL, "a"]) + "\r\n"])
def test_a_vocabulary_is_read_with_a_byte_order_mark_and_any_line_ends(tmp_path, content):
    (tmp_path / "vocab.txt").write_bytes(content.encode())
    assert tokens.opened(str(tmp_path), 5).of("A") == [(4, 0, 1)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a\nb\n", r"must have \[CLS\], \[PAD\], \[SEP\], \[UNK\] and at most 5 tokens"),
        ("\n".join([*SPECIAL, "a", "b"]).encode(), "at most 5 tokens"),
        ("\n".join([*SPECIAL, "é"]).encode("latin-1"), "cannot be read as UTF-8 text"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(tmp_path, content, problem):
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(UsageError, match=problem):
        tokens.opened(str(tmp_path), 5)
