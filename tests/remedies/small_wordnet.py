"""A WordNet of a few words, for tests of what reads one."""

from __future__ import annotations

from pathlib import Path

# Lines as WordNet 3.0 has them, and one of its licence.
DATA = {
    "noun": "  1 This software and database is being provided to you, the LICENSEE\n"
    "%d 10 n 03 film 1 movie 0 motion_picture 0 000 | a form of entertainment  \n"
    "%d 14 n 02 One 0 single 1 000 | the smallest whole number  \n",
    "verb": "%d 36 v 02 film 0 shoot 0 000 | make a film  \n",
    "adj": "%d 00 a 03 here(p) 0 Present 0 attending(a) 0 000 | being where one is  \n",
    "adv": "%d 02 r 01 well 0 000 | in a good manner  \n",
}
INDEX = {  # word, part of speech, synsets, pointers, senses, tagged senses, byte of each synset by its line in DATA
    "noun": [("film", 1, [0]), ("movie", 0, [0]), ("one", 2, [1])],
    "verb": [("film", 0, [0]), ("shoot", 3, [0])],
    "adj": [("here", 1, [0])],
    "adv": [("well", 1, [0])],
}


def write_wordnet(folder: Path) -> Path:
    """A WordNet of a few words."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, text in DATA.items():
        lines, offsets, written = text.splitlines(keepends=True), [], ""
        for line in lines:
            if "%d" in line:
                offsets.append(len(written))
                line = line.replace("%d", f"{len(written):08d}")
            written += line
        (folder / f"data.{part}").write_text(written)
        rows = [
            f"{word} {part[0]} {len(at)} 0 {len(at)} {tagged} {' '.join(f'{offsets[i]:08d}' for i in at)}  \n"
            for word, tagged, at in INDEX[part]
        ]
        (folder / f"index.{part}").write_text("  1 the licence\n" + "".join(rows))
    return folder
