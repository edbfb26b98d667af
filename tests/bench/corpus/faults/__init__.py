"""The corpus' faults: name -> fault, a file for each kind of rule that names them."""

from __future__ import annotations

from . import data, fit, optimisation, signal, wiring

# `make.py` takes from the place of a fault into which programs it is put.
FAULTS = wiring.FAULTS | data.FAULTS | optimisation.FAULTS | signal.FAULTS | fit.FAULTS
