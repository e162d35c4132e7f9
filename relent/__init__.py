"""The front door: configuration, assembly, the command line and the server. Knows everyone."""

from importlib.metadata import version

__version__ = version("relent-engine")
