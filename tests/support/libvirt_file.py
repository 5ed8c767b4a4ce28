"""Writes files for libvirt's own test driver (``test:///FILE.xml``): nodes with the domains that a test needs."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path

__all__ = ["domain_id", "domain_xml", "nova_metadata", "write_crowd", "write_node"]

NOVA = "http://openstack.org/xmlns/libvirt/nova/1.1"
PROJECT = "4c1f0d7a9c5e4b1fb1a4c0a7b2f0aa01"
USER = "9d3bc0ffee5e4b1fb1a4c0a7b2f0bb02"
IMAGE = "70a599e0-31e7-49b7-b260-868f441e862b"


def domain_id(name: str) -> str:
    """The UUID that ``domain_xml`` gives to a domain of this name."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def nova_metadata(
    *, display_name: str, disk_gib: int = 20, ephemeral_gib: int = 0, root: str = "image", namespace: str = NOVA
) -> str:
    """What Nova writes into the domain's XML for an m1.small."""
    boot = f'<nova:root type="image" uuid="{IMAGE}"/>' if root == "image" else f'<nova:root type="{root}"/>'
    return f"""
      <nova:instance xmlns:nova="{namespace}">
        <nova:package version="29.2.0"/>
        <nova:name>{display_name}</nova:name>
        <nova:creationTime>2026-01-01 00:00:00</nova:creationTime>
        <nova:flavor name="m1.small" id="f-2">
          <nova:memory>2048</nova:memory><nova:disk>{disk_gib}</nova:disk><nova:swap>0</nova:swap>
          <nova:ephemeral>{ephemeral_gib}</nova:ephemeral><nova:vcpus>2</nova:vcpus>
          <nova:extraSpecs><nova:extraSpec name="hw:cpu_policy">dedicated</nova:extraSpec></nova:extraSpecs>
        </nova:flavor>
        <nova:image uuid="{IMAGE}"><nova:minDisk>1</nova:minDisk><nova:properties>
          <nova:property name="os_distro">debian</nova:property>
          <nova:property name="admin_pass">hunter2</nova:property></nova:properties></nova:image>
        <nova:owner><nova:user uuid="{USER}">alice</nova:user><nova:project uuid="{PROJECT}">shop</nova:project></nova:owner>
        {boot}
      </nova:instance>"""


def domain_xml(
    name: str,
    *,
    disks: Iterable[str] = ("vda",),
    taps: Iterable[str] = ("tap0",),
    network_filter: str | None = None,
    metadata: str = "",
    run_state: int = 1,
    balloon: str = "virtio",
    vcpus: int = 2,
) -> str:
    """One domain. ``run_state`` is libvirt's number: 1 running, 3 paused, 5 shut off."""
    storage = "".join(
        f"""<disk type='network' device='disk'><auth username='cinder'><secret type='ceph' uuid='{uuid.UUID(int=7)}'/></auth>
            <source protocol='rbd' name='pool/{name}-{disk}'/><target dev='{disk}' bus='virtio'/></disk>"""
        for disk in disks
    )
    reference = (
        f"<filterref filter='{network_filter}'><parameter name='IP' value='10.0.0.5'/>"
        f"<parameter name='X_SECRET' value='hunter2'/></filterref>"
        if network_filter
        else ""
    )
    interfaces = "".join(
        f"""<interface type='bridge'><mac address='52:54:00:00:00:{number:02x}'/><source bridge='br-int'/>
            <target dev='{tap}'/>{reference}</interface>"""
        for number, tap in enumerate(taps)
    )
    return f"""
      <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
        <name>{name}</name><uuid>{domain_id(name)}</uuid>
        <metadata>{metadata}</metadata>
        <memory unit='KiB'>2097152</memory><vcpu>{vcpus}</vcpu>
        <os><type arch='x86_64'>hvm</type></os>
        <devices>{storage}
          <disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>
          {interfaces}<memballoon model='{balloon}'/>
        </devices>
        <test:runstate>{run_state}</test:runstate>
      </domain>"""


def write_node(path: Path, domains: Iterable[str]) -> str:
    """Write a node with these domains; return its URI."""
    path.write_text(f"<node>{''.join(domains)}</node>")
    return f"test://{path}"


def write_crowd(path: Path, count: int) -> str:
    """A node as a cloud has it: every domain has one of Nova's, plain, stopped and balloon-less shapes."""
    shapes = (
        {"disks": ("vda", "vdb"), "taps": ("tap{n}a", "tap{n}b"), "nova": True},
        {"nova": True},
        {},
        {"run_state": 5},
        {"balloon": "none", "nova": True},
    )
    domains = []
    for number in range(count):
        shape = dict(shapes[number % len(shapes)])
        taps = [tap.format(n=number) for tap in shape.pop("taps", ("tap{n}",))]
        metadata = nova_metadata(display_name=f"web-{number}") if shape.pop("nova", False) else ""
        domains.append(domain_xml(f"instance-{number:08x}", taps=taps, metadata=metadata, **shape))
    return write_node(path, domains)
