"""Rows as people write them."""

from __future__ import annotations

import io

import pytest

from inkev.base.errors import Faults, UserError
from inkev.cli.rows import parse_words, read_rows

ROWS = [{"src": "10.0.0.0/8", "dport": 443}]


def test_words_are_a_row():
    assert parse_words(["src=10.0.0.0/8", "note=a=b", "empty="]) == {"src": "10.0.0.0/8", "note": "a=b", "empty": ""}


def test_every_bad_word_is_told():
    with pytest.raises(Faults) as caught:
        parse_words(["src", "=1", "dport=1", "dport=2"])
    assert len(caught.value.faults) == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.toml", '[[rows]]\nsrc = "10.0.0.0/8"\ndport = 443\n'),
        ("rules.toml", '[[rules]]\nsrc = "10.0.0.0/8"\ndport = 443\n'),
        ("rows.json", '[{"src": "10.0.0.0/8", "dport": 443}]'),
        ("listed.json", '{"table": "rules", "rows": [{"src": "10.0.0.0/8", "dport": 443}]}'),
    ],
)
def test_toml_and_json_files_are_rows(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_rows(str(tmp_path / name), "rules") == ROWS


def test_csv_files_are_rows_of_text(tmp_path):
    (tmp_path / "rows.csv").write_text("src,dport\n10.0.0.0/8,443\n")
    assert read_rows(str(tmp_path / "rows.csv")) == [{"src": "10.0.0.0/8", "dport": "443"}]


@pytest.mark.parametrize(
    "text", ['[{"src": "10.0.0.0/8", "dport": 443}]', '[[rows]]\nsrc = "10.0.0.0/8"\ndport = 443\n']
)
def test_standard_input_may_be_json_or_toml(monkeypatch, text):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert read_rows("-") == ROWS


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.toml", "[[rows"), ("a.json", "{"), ("b.json", "[1]"), ("a.csv", "a,b\n1\n"), ("c.toml", "a = 1")],
)
def test_a_file_without_rows_is_refused_with_its_place(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as caught:
        read_rows(str(tmp_path / name))
    assert caught.value.code == "bad-rows"
    assert caught.value.faults[0].where.endswith(name)


def test_a_missing_file_is_told():
    with pytest.raises(UserError) as caught:
        read_rows("/nonexistent/rows.toml")
    assert caught.value.code == "no-such-file"
