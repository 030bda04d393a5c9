"""Whose speed a dry run goes by, as the end of its sentence, and how many devices work at once."""

from vggfeat.costs.calibration import machine_text
from vggfeat.devices import kind, resolved


def at_once(device: str, num_devices: int) -> int:
    """How many devices work at the speed of this machine's: processes of one CPU share its cores.

    device is that of --device.
    """
    return 1 if device == "cpu" else num_devices


def whose_speed(
    device: str, num_devices: int, *, given: float | None = None, remedy: str = ""
) -> str:
    """How many devices, and whose speed theirs is: given images per second, or this machine's.

    remedy says what gives a GPU's speed where none is here.
    """
    several = f" on {num_devices} devices" if num_devices > 1 else ""
    if given is not None:
        return f"{several} of {given:g} images per second, as given"
    machine = machine_text(resolved(device))
    if kind(resolved(device)) != "cpu":
        return f"{several} as measured just now on {machine}"
    if num_devices > 1 and device == "cpu":
        return (
            f" as measured just now on this CPU ({machine}), whose cores the {num_devices}"
            " processes share"
        )
    if num_devices > 1:
        return (
            f"{several}, if each is as fast as this CPU ({machine}), which was measured just now."
            f" No GPU is here, and one will differ{remedy}"
        )
    return f" as measured just now on this CPU ({machine})"
