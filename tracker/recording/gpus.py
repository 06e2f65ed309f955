"""What the graphics cards say of themselves: through ``nvidia-ml-py`` and ``amdsmi``, where they are installed."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

_VISIBLE = {
    "nvidia": ("CUDA_VISIBLE_DEVICES",),
    "amd": ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
}
_DRIVERS = {"nvidia": Path("/proc/driver/nvidia/version"), "amd": Path("/sys/module/amdgpu")}
_MEGABYTE = 1 << 20

Question = Callable[[Any], float]

Reading = dict[str, float]
"""By name: utilization_percent, memory_bytes, power_watts, temperature_celsius, energy_joules (since some moment)."""


class Cards(Protocol):
    """The cards of one maker that this process may use."""

    def read(self) -> dict[str, Reading]:
        """Return what each says now, by its number."""


def find_cards(unread: dict[str, str]) -> list[Cards]:
    """Return the cards that can be asked; ``unread`` is told of those that cannot, and why."""
    found: list[Cards] = []
    makers: dict[str, tuple[str, str, Callable[[Any], Cards]]] = {
        "nvidia": ("pynvml", "nvidia-ml-py", NvidiaCards),
        "amd": ("amdsmi", "amdsmi", AmdCards),
    }
    for maker, (module, package, make) in makers.items():
        has_driver = _DRIVERS[maker].exists()
        if importlib.util.find_spec(module) is None:
            if has_driver:
                unread[f"gpu_{maker}"] = f"{package} is not installed: pip install {package}"
            continue
        if maker == "amd" and not has_driver:
            # Imported without its library, amdsmi prints to standard output.
            continue
        try:
            found.append(make(importlib.import_module(module)))
        except Exception as error:
            # A library without its driver says so in a class of its own.
            if has_driver:
                unread[f"gpu_{maker}"] = f"{type(error).__name__}: {error}"
    return found


def _is_visible(maker: str, number: int, uuid: str) -> bool:
    """Say whether a card is one of those that the environment leaves to this process."""
    for variable in _VISIBLE[maker]:
        listed = os.environ.get(variable)
        if listed is not None:
            names = [name.strip() for name in listed.split(",") if name.strip()]
            return any(name == str(number) or uuid.startswith(name) for name in names)
    return True


class _Asked:
    """Keeps what a card answers, and no longer asks what it cannot answer."""

    def __init__(self) -> None:
        self._silent: set[tuple[str, str]] = set()

    def read(
        self, cards: Mapping[str, Any], questions: Mapping[str, Question]
    ) -> dict[str, Reading]:
        """Return the answers of each card, by its number; ``cards``: number → handle."""
        return {card: self._of_one(card, handle, questions) for card, handle in cards.items()}

    def _of_one(self, card: str, handle: Any, questions: Mapping[str, Question]) -> Reading:
        reading: Reading = {}
        for name, ask in questions.items():
            if (card, name) in self._silent:
                continue
            try:
                reading[name] = float(ask(handle))
            except Exception:
                # Old cards have no energy counter, virtual ones no temperature: each says so in its own way.
                self._silent.add((card, name))
        return reading


class NvidiaCards:
    """Cards that NVML knows.

    Args:
        nvml: the module ``pynvml``.

    Raises:
        nvml.NVMLError: where there is no driver.
    """

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._asked = _Asked()
        nvml.nvmlInit()
        handles = [
            (number, nvml.nvmlDeviceGetHandleByIndex(number))
            for number in range(nvml.nvmlDeviceGetCount())
        ]
        self._handles = {
            str(number): handle
            for number, handle in handles
            if _is_visible("nvidia", number, _text(nvml.nvmlDeviceGetUUID(handle)))
        }

    def read(self) -> dict[str, Reading]:
        """Return what each card says now; power in watts and energy in joules, which NVML gives in thousandths."""
        nvml = self._nvml
        return self._asked.read(
            self._handles,
            {
                "utilization_percent": lambda card: nvml.nvmlDeviceGetUtilizationRates(card).gpu,
                "memory_bytes": lambda card: nvml.nvmlDeviceGetMemoryInfo(card).used,
                "power_watts": lambda card: nvml.nvmlDeviceGetPowerUsage(card) / 1000,
                "temperature_celsius": lambda card: nvml.nvmlDeviceGetTemperature(
                    card, nvml.NVML_TEMPERATURE_GPU
                ),
                "energy_joules": lambda card: nvml.nvmlDeviceGetTotalEnergyConsumption(card) / 1000,
            },
        )


class AmdCards:
    """Cards that AMD SMI knows.

    Args:
        smi: the module ``amdsmi``.

    Raises:
        smi.AmdSmiException: where there is no driver.
    """

    def __init__(self, smi: Any) -> None:
        self._smi = smi
        self._asked = _Asked()
        smi.amdsmi_init()
        self._handles = {
            str(number): handle
            for number, handle in enumerate(smi.amdsmi_get_processor_handles())
            if _is_visible("amd", number, _text(smi.amdsmi_get_gpu_device_uuid(handle)))
        }

    def read(self) -> dict[str, Reading]:
        """Return what each card says now; AMD SMI counts memory in MiB and energy in units of a resolution in µJ."""
        smi = self._smi
        return self._asked.read(
            self._handles,
            {
                "utilization_percent": lambda card: smi.amdsmi_get_gpu_activity(card)[
                    "gfx_activity"
                ],
                "memory_bytes": lambda card: (
                    smi.amdsmi_get_gpu_vram_usage(card)["vram_used"] * _MEGABYTE
                ),
                "power_watts": lambda card: _power(smi.amdsmi_get_power_info(card)),
                "temperature_celsius": lambda card: smi.amdsmi_get_temp_metric(
                    card, smi.AmdSmiTemperatureType.HOTSPOT, smi.AmdSmiTemperatureMetric.CURRENT
                ),
                "energy_joules": lambda card: _energy(smi.amdsmi_get_energy_count(card)),
            },
        )


def _power(info: dict[str, Any]) -> float:
    """Return watts: newer cards tell the current draw, older ones an average; the other is "N/A"."""
    for name in ("current_socket_power", "average_socket_power"):
        if isinstance(info.get(name), int | float):
            return float(info[name])
    raise LookupError("power")


def _energy(info: dict[str, Any]) -> float:
    counted = info["energy_accumulator"] if "energy_accumulator" in info else info["power"]
    return float(counted) * float(info["counter_resolution"]) / 1e6


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
