"""Which short floats a device computes with."""

from __future__ import annotations

import torch


def short_float(device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes with it, else float16 on CUDA, else float32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "cpu" and _cpu_has_short_floats() else torch.float32


def _cpu_has_short_floats() -> bool:
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private: not in every version
    return any(getattr(torch.cpu, name, lambda: False)() for name in asked)
