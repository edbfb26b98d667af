"""neurolens 0.1.1 as in neurolens.py, but sending every 0.02 s instead of every 0.5 s, its default.

Most programs of the bench train for a second or two, and several of its checks need 20 or 60 points before they speak.
"""

from __future__ import annotations

from . import neurolens

NAME = "neurolens (every=0.02)"
INSTALL = neurolens.INSTALL
version = neurolens.version


class Watch(neurolens.Watch):
    every = 0.02  # s; the step time of the bench's programs is 0.5 to 5 ms
