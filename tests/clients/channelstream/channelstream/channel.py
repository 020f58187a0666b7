"""An object in the memory of the original; the tests that make one are not run."""


class Channel:
    pass
