"""What the engine's errors are in Python. Each has the text that the `polyscene` program prints after `error: `."""


class Error(Exception):
    """Any error of the engine; of no class below: a loss or a weight became something that is not a number."""


class ConfigError(Error, ValueError):
    """A configuration or a model's options are at fault, or ask for more than the machine or the device has."""


class DataError(Error, ValueError):
    """A table or a file of data is at fault; the text names the column, the row and the fix."""


class DeviceError(Error, RuntimeError):
    """A device is not there, or failed."""


class RunError(Error, RuntimeError):
    """A run's folder or one of its files is not there, in the way, or cannot be read or written."""


for _class in (Error, ConfigError, DataError, DeviceError, RunError):
    _class.__module__ = "polyscene"
