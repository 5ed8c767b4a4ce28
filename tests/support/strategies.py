"""Hypothesis strategies for what agents measure."""

from __future__ import annotations

import string
from decimal import Decimal

from hypothesis import strategies as st

from metering.messages import Meter, Resource, Sample, volume_text

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
