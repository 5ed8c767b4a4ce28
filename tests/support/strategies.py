"""Hypothesis strategies for what agents measure."""

from __future__ import annotations

import json
import string
from decimal import Decimal

import msgspec
from hypothesis import strategies as st

from metering.messages import Event, Meter, Resource, Sample, Trait, trait_text, volume_text

# Everything a text may hold but NUL and lone surrogates, which no store column can keep.
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=20)
names = st.text(string.ascii_lowercase + "._-", min_size=1, max_size=12)

volumes = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.decimals(
        allow_nan=False, allow_infinity=False, places=9, min_value=Decimal(-(10**20)), max_value=Decimal(10**20)
    ),
).map(volume_text)

timestamps = st.integers(1_262_304_000_000_000, 1_900_000_000_000_000)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=6,
)

meters = st.builds(
    Meter, name=names, type=st.sampled_from(["gauge", "delta", "cumulative"]), unit=st.text(max_size=3, alphabet="BsM%")
)
resources = st.builds(
    Resource,
    id=texts,
    source=names,
    project=st.none() | names,
    user=st.none() | names,
    metadata=st.dictionaries(texts, json_values, max_size=4),
)
samples = st.builds(Sample, meter=meters, resource=resources, timestamp=timestamps, volume=volumes)
sample_lists = st.lists(samples, max_size=12)

trait_values = {
    "string": st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20),
    "integer": st.integers(-(10**60), 10**60),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "datetime": st.datetimes(),
}
traits = st.one_of(
    [
        st.builds(Trait, texts, st.just(kind), values.map(lambda value, kind=kind: trait_text(kind, value)))
        for kind, values in trait_values.items()
    ]
)
# A payload as text, with blanks, escapes and numbers as no encoder of ours would write them.
raws = st.one_of(
    json_values.map(msgspec.json.encode),
    json_values.map(lambda value: json.dumps(value, indent=2).encode()),
    st.sampled_from(
        [
            b"{}",
            b'{"a":1,"a":2}',
            b'{"n": 1e999, "m": 1.50}',
            b'"\\u0000\\\\N"',
            b'{"t":\t"x"\r\n}',
            b'"\\\\."',
            b"null",
        ]
    ),
)
events = st.builds(
    Event,
    id=texts,
    type=names,
    source=names,
    generated=timestamps,
    traits=st.lists(traits, max_size=6, unique_by=lambda trait: trait.name),
    raw=raws.map(msgspec.Raw),
)
event_lists = st.lists(events, max_size=8, unique_by=lambda event: event.id)
