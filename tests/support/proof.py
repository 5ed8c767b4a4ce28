"""What exactly once means: ledger and samples hold what was signed, no more, no less, unchanged."""

from __future__ import annotations

from collections.abc import Iterable

from metering.messages import open_body, parse_batch
from metering.models import Batch, BatchBody, Sample

__all__ = ["assert_stored_once"]


def assert_stored_once(messages: Iterable[bytes]) -> None:
    """Ledger and samples hold exactly what these messages say, each sample once."""
    wanted, bodies = {}, {}
    for message in messages:
        sealed = parse_batch(message)
        bodies[sealed.header.id] = sealed.body
        for position, sample in enumerate(open_body(sealed).samples()):
            key = sealed.header.id.int | position
            wanted[key] = (sample.meter.name, sample.resource.id, sample.timestamp, sample.volume)
    assert Batch.objects.count() == len(bodies)
    assert {row.pk: bytes(row.body) for row in BatchBody.objects.all()} == bodies
    assert set(Batch.objects.values_list("pk", flat=True)) == set(bodies)
    stored = {
        row[0].int: (row[1], row[2], round(row[3].timestamp() * 1_000_000), format(row[4], "f"))
        for row in Sample.objects.values_list("id", "meter__name", "resource__resource_id", "timestamp", "volume")
    }
    assert Sample.objects.count() == len(wanted)
    assert stored == wanted
