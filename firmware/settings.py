"""What `config.read` returns. A file of its own, so that the memory of the reader can be given back when it
has read."""


class Settings:
    """The attributes are the keys of config.json (README.md); `sensors` is a list of Settings, too."""
