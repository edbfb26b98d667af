"""WordNet's database files, where this machine has them -> words that mean the same.

The files are those of WordNet 3.0 (wndb(5WN): `index.<pos>` names the synsets of a word, the most frequent first,
`data.<pos>` holds the words of each at the byte that the index gives). They come with Debian's `wordnet-base`, with
`python -m nltk.downloader wordnet`, and from Princeton.

Reference: Fellbaum (ed.): WordNet: An Electronic Lexical Database. MIT Press, 1998. https://wordnet.princeton.edu
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path

PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")
Folder = Path | zipfile.Path


def find() -> Folder | None:
    """The folder of the database files: where WordNet's own programs look for it, then where NLTK does."""
    return next(
        (folder for folder in _places() if all((folder / f"index.{p}").is_file() for p in PARTS_OF_SPEECH)), None
    )


class WordNet:
    """The files of one folder, each read when it is first asked for. without: words that have no synonyms here."""

    def __init__(self, folder: Folder, without: Collection[str] = ()) -> None:
        self._folder, self._without = folder, without
        self._data: dict[str, bytes] = {}

    def synonyms(self, word: str) -> tuple[str, ...]:
        """Other single words of the most frequent sense of a lower-case word.

        Of several parts of speech it is taken as that in which WordNet's tagged texts have it in most senses.
        """
        found = self._index.get(word)
        if found is None or word in self._without:
            return ()
        _, part, offset = found
        if part not in self._data:
            self._data[part] = (self._folder / f"data.{part}").read_bytes()
        line = self._data[part][offset : self._data[part].index(b"\n", offset)].decode("latin-1")
        _, _, _, count, *fields = line.split(" ")
        words = fields[: 2 * int(count, 16) : 2]  # each is followed by its sense's number
        plain = (found.partition("(")[0] for found in words)  # "(p)": an adjective that stands after its noun
        return tuple(w for w in dict.fromkeys(plain) if w.lower() != word and w.isalpha())

    @cached_property
    def _index(self) -> dict[str, tuple[int, str, int]]:
        """Word -> (tagged senses, part of speech, byte of its first synset)."""
        index: dict[str, tuple[int, str, int]] = {}
        for part in PARTS_OF_SPEECH:
            for line in (self._folder / f"index.{part}").read_text(encoding="latin-1").splitlines():
                if line.startswith(" ") or not line:  # the licence
                    continue
                fields = line.split()
                synsets = int(fields[2])
                tagged, word = int(fields[-synsets - 1]), fields[0]
                if word not in index or tagged > index[word][0]:
                    index[word] = (tagged, part, int(fields[-synsets]))
        return index


def _places() -> Iterator[Folder]:
    if "WNSEARCHDIR" in os.environ:  # wn(1WN)
        yield Path(os.environ["WNSEARCHDIR"])
    if "WNHOME" in os.environ:
        yield Path(os.environ["WNHOME"]) / "dict"
    yield Path("/usr/share/wordnet")
    given = [Path(part) for part in os.environ.get("NLTK_DATA", "").split(os.pathsep) if part]
    for root in (*given, Path.home() / "nltk_data", Path("/usr/share/nltk_data"), Path("/usr/local/share/nltk_data")):
        yield root / "corpora" / "wordnet"
        packed = root / "corpora" / "wordnet.zip"
        if packed.is_file() and zipfile.is_zipfile(packed):
            yield zipfile.Path(packed, "wordnet/")
