"""The backbones by the names that settings, commands and saved models use."""

from torch import nn

from liber_tasks.backbones.autoint import AutoInt
from liber_tasks.backbones.dcn import DCN
from liber_tasks.backbones.dcnv2 import DCNv2
from liber_tasks.backbones.deepfm import DeepFM
from liber_tasks.backbones.dien import DIEN
from liber_tasks.backbones.din import DIN
from liber_tasks.backbones.fibinet import FiBiNET
from liber_tasks.backbones.xdeepfm import XDeepFM

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
