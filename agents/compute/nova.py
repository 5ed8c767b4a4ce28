"""What Nova wrote into a domain's XML: whose the instance is, its flavor and its image. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

__all__ = ["Flavor", "NovaRecord", "find_nova_record"]

_NAMESPACES = ("http://openstack.org/xmlns/libvirt/nova/1.1", "http://openstack.org/xmlns/libvirt/nova/1.0")

# Image properties are free text that anybody may set, passwords included: only these travel.
_IMAGE_PROPERTIES = frozenset(
    {
        "architecture",
        "hw_cdrom_bus",
        "hw_disk_bus",
        "hw_firmware_type",
        "hw_machine_type",
        "hw_qemu_guest_agent",
        "hw_video_model",
        "hw_vif_model",
        "hypervisor_type",
        "img_hv_type",
        "os_distro",
        "os_type",
        "os_version",
    }
)


@dataclass(frozen=True)
class Flavor:
    """The size that was sold. Numbers that the XML does not carry, or carries unreadably, are None."""

    id: str | None
    name: str | None
    vcpus: int | None
    ram_mib: int | None
    disk_gib: int | None
    ephemeral_gib: int | None
    swap_mib: int | None
    extra_specs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NovaRecord:
    """Nova's description of one instance. Owner and image are None where the XML does not name them."""

    display_name: str | None
    project: str | None
    user: str | None
    flavor: Flavor | None
    image_id: str | None
    image_name: str | None
    image_meta: dict[str, Any] = field(default_factory=dict)


def find_nova_record(domain: Element) -> NovaRecord | None:
    """Return Nova's record in a ``<domain>``, or None when Nova did not make this domain."""
    for namespace in _NAMESPACES:
        instance = domain.find(f"metadata/{{{namespace}}}instance")
        if instance is not None:
            return _Reader(instance, namespace).record()
    return None


class _Reader:
    """Reads one ``<nova:instance>``; every path is given without its namespace."""

    def __init__(self, instance: Element, namespace: str) -> None:
        self._instance = instance
        self._namespaces = {"": namespace}

    def record(self) -> NovaRecord:
        image = self._find("image")
        return NovaRecord(
            display_name=self._text("name"),
            project=self._attribute("owner/project", "uuid"),
            user=self._attribute("owner/user", "uuid"),
            flavor=self._flavor(),
            image_id=self._image_id(),
            image_name=None if image is None else image.get("name"),
            image_meta=self._image_meta(),
        )

    def _flavor(self) -> Flavor | None:
        element = self._find("flavor")
        if element is None:
            return None
        specs = element.iterfind("extraSpecs/extraSpec", self._namespaces)
        return Flavor(
            id=element.get("id"),
            name=element.get("name"),
            vcpus=self._number("flavor/vcpus"),
            ram_mib=self._number("flavor/memory"),
            disk_gib=self._number("flavor/disk"),
            ephemeral_gib=self._number("flavor/ephemeral"),
            swap_mib=self._number("flavor/swap"),
            extra_specs={spec.get("name", ""): spec.text or "" for spec in specs},
        )

    def _image_id(self) -> str | None:
        """The image booted from: None for boot from volume, which has a root of another type."""
        root = self._find("root")
        if root is None or root.get("type") != "image":
            return None
        return root.get("uuid")

    def _image_meta(self) -> dict[str, Any]:
        facts = {
            "base_image_ref": self._attribute("image", "uuid"),
            "container_format": self._text("image/containerFormat"),
            "disk_format": self._text("image/diskFormat"),
            "min_disk": self._text("image/minDisk"),
            "min_ram": self._text("image/minRam"),
        }
        meta = {key: value for key, value in facts.items() if value is not None}
        for element in self._instance.iterfind("image/properties/property", self._namespaces):
            if element.get("name") in _IMAGE_PROPERTIES:
                meta[element.get("name", "")] = element.text or ""
        return meta

    def _find(self, path: str) -> Element | None:
        return self._instance.find(path, self._namespaces)

    def _text(self, path: str) -> str | None:
        return self._instance.findtext(path, namespaces=self._namespaces)

    def _attribute(self, path: str, name: str) -> str | None:
        element = self._find(path)
        # An empty attribute says as little as a missing one.
        return None if element is None else element.get(name) or None

    def _number(self, path: str) -> int | None:
        text = (self._text(path) or "").strip()
        return int(text) if text.isascii() and text.isdigit() else None
