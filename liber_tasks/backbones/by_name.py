"""The backbones by the names that settings, commands and saved models use."""

from importlib import import_module

from torch import nn

from liber_tasks.backbones.autoint import AutoInt
from liber_tasks.backbones.dcn import DCN
from liber_tasks.backbones.dcnv2 import DCNv2
from liber_tasks.backbones.deepfm import DeepFM
from liber_tasks.backbones.dien import DIEN
from liber_tasks.backbones.din import DIN
from liber_tasks.backbones.fibinet import FiBiNET
from liber_tasks.backbones.xdeepfm import XDeepFM
from liber_tasks.errors import InputError

BACKBONES: dict[str, type[nn.Module]] = {
    "dcn": DCN,
    "dcnv2": DCNv2,
    "deepfm": DeepFM,
    "xdeepfm": XDeepFM,
    "autoint": AutoInt,
    "fibinet": FiBiNET,
    "din": DIN,
    "dien": DIEN,
}


def backbone_of(name: str) -> type[nn.Module]:
    """The class of a backbone: one of `BACKBONES`, or anybody's as `package.module:Class` (docs/extend.md).

    Raises:
        InputError: there is none of that name; it cannot be imported; it is no torch module.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        known = ", ".join(sorted(BACKBONES))
        raise InputError(f"There is no backbone {name!r}: choose one of {known}, or your own as package.module:Class.")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"The backbone {name!r} cannot be imported here: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise InputError(f"The backbone {name!r} is no class of torch modules.")
    return found
