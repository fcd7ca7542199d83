"""Prompts: those built in, and those of a file."""

import random

import pytest

from astrometer.api.chat.commands import is_command
from astrometer.load.corpus import Corpus, CorpusError


def test_the_built_in_corpus_is_large_and_never_repeats_itself():
    corpus = Corpus.built_in(random.Random(1))
    prompts = [corpus.next() for _ in range(3000)]
    assert len(set(prompts)) == 3000
    assert not [prompt for prompt in prompts if is_command(prompt)]
    assert not [prompt for prompt in prompts if "{" in prompt]


def test_the_built_in_corpus_has_the_lengths_and_languages_of_people():
    corpus = Corpus.built_in(random.Random(2))
    prompts = [corpus.next() for _ in range(2000)]
    lengths = sorted(len(prompt) for prompt in prompts)
    assert len(corpus) >= 100
    assert lengths[1000] < 120  # half of them are a line or two
    assert lengths[-100] > 500
    chinese = sum(any("\u4e00" <= letter <= "\u9fff" for letter in prompt) for prompt in prompts)
    assert 0.3 < chinese / 2000 < 0.6


def test_prompts_of_a_file_are_guarded_and_differ_on_every_round(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "help me write a poem"}\n\n{"prompt": "你好"}\n', "utf-8")
    corpus = Corpus.from_file(file)
    prompts = [corpus.next() for _ in range(50)]
    assert len(set(prompts)) == 50
    assert not [prompt for prompt in prompts if is_command(prompt)]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"prompt": "a"}\nnot json\n', "prompts.jsonl:2: is not valid JSON"),
        ('{"prompt": "a"}\n\n{"text": "b"}\n', "prompts.jsonl:3: write an object"),
        ('["a"]\n', "prompts.jsonl:1: write an object"),
        ("\n\n", "has no prompts"),
    ],
)
def test_a_bad_prompt_file_is_refused_with_its_line(tmp_path, content, complaint):
    file = tmp_path / "prompts.jsonl"
    file.write_text(content)
    with pytest.raises(CorpusError, match=complaint):
        Corpus.from_file(file)


def test_a_prompt_may_hold_any_character_and_the_file_a_bom(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_bytes('\ufeff{"prompt": "a\u2028b\u0085c"}\r\n{"prompt": "half \\ud800"}\n'.encode())
    corpus = Corpus.from_file(file)
    assert len(corpus) == 2
    asked = {corpus.next() for _ in range(20)}
    assert any("a\u2028b\u0085c" in prompt for prompt in asked)
    assert any("half \ufffd" in prompt for prompt in asked)
