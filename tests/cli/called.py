"""Words -> the exit code of `advisor`; and runs for it to find."""

from __future__ import annotations

import numpy as np
import pytest

from advisor import cli
from advisor.record import RunInfo, Sample
from advisor.store import Store


def call(words: list[str]) -> int:
    """The exit code of `advisor` with these words."""
    with pytest.raises(SystemExit, match=r".*") as end:
        cli.main(words)
    assert isinstance(end.value.code, int)
    return end.value.code


def add_run(**info: object) -> int:
    """A finished run in the store of the working directory: three epochs of falling loss."""
    store = Store()
    known = {"name": "train.py", "status": "finished", "epochs": 3, "started": 1000.0, "ended": 1002.5}
    run = store.add_run(RunInfo.model_validate({**known, **info}))
    rows = [Sample("val_loss", "val", e, e, np.array([0.9 - 0.1 * e], dtype=np.float32)) for e in range(3)]
    info_now = next(i for i, _ in store.run_infos(trials=True) if i.id == run)
    store.write(info_now, rows, new_axes={"val_loss": ("",)})
    store.close()
    return run
