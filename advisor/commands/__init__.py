"""One file a panel of `advisor --help`, one function a command in it; each file's `app` holds its commands.

Whatever needs torch is imported inside the command that needs it, so that the others open at once.
"""
