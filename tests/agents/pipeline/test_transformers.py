"""What each transformer makes of samples; the worked examples are those of the specification, with its own numbers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.contract import BadParameters, Meter, Resource, Sample
from agents.pipeline.packing import pack, unpack
from agents.pipeline.transformers import TRANSFORMERS
from agents.pipeline.transformers.limits import LONGEST_HELD_MICROSECONDS, MOST_REMEMBERED
from metering.messages import volume_text

SECOND = 1_000_000


def sample(name, volume, at=0, *, unit="", type="gauge", resource="vm-1", user=None, project=None, **metadata):
    described = Resource(resource, "openstack", project, user, metadata)
    return Sample(Meter(name, type, unit), described, int(at * SECOND), str(volume))


class Step:
    """A transformer that is given samples one by one; its state goes through bytes in between, as in earnest."""

    def __init__(self, name, **parameters):
        self.transformer = TRANSFORMERS[name](parameters)
        self.state = None
        self.reports = []

    def report(self, where, what):
        self.reports.append((where, what))

    def keep(self, state):
        self.state = unpack(pack(state))

    def give(self, *samples):
        state, made = self.transformer.transform(self.state, samples, self.report)
        self.keep(state)
        return made

    def each(self, *samples):
        """What comes out for each sample, None for nothing."""
        made = [self.give(sample) for sample in samples]
        assert all(len(part) <= 1 for part in made)
        return [part[0] if part else None for part in made]

    def volumes(self, *samples):
        return [made and made.volume for made in self.each(*samples)]

    def flush(self, now):
        if self.state is None:
            return []
        state, made = self.transformer.flush(self.state, int(now * SECOND), self.report)
        self.keep(state)
        return made


def cpu(volume, at, **more):
    return sample("cpu", int(volume), at, type="cumulative", unit="ns", cpu_number=2, **more)


CPU_UTIL = {"name": "cpu_util", "unit": "%", "type": "gauge", "max": 100}
CPU_SCALE = "100.0 / (10**9 * (resource_metadata.cpu_number or 1))"


def test_worked_example_rate_of_change():
    step = Step("rate_of_change", target={**CPU_UTIL, "scale": CPU_SCALE})
    made = step.each(cpu(120e9, 0), cpu(360e9, 300), cpu(1260e9, 600), cpu(30e9, 900))
    assert [rate and rate.volume for rate in made] == [None, "40", "100", "5"]
    assert made[1] == sample("cpu_util", 40, 300, unit="%", cpu_number=2)
    before = step.state
    assert step.volumes(cpu(40e9, 890)) == [None]
    assert step.state == before


def test_worked_example_rate_of_change_with_a_scale_that_is_a_number_multiplies_by_the_volume():
    def rates(scale):
        return Step("rate_of_change", target={"scale": scale}).volumes(sample("a", 1000), sample("a", 4000, 10))

    assert rates(0.001) == [None, "1200"]
    assert rates("0.001") == [None, "0.3"]


def test_worked_example_rate_of_change_with_mapped_names():
    names = {"name": r"(disk\.device|disk)\.(read|write)\.(bytes|requests)", "unit": "(B|request)"}
    step = Step(
        "rate_of_change", source={"map_from": names}, target={"map_to": {"name": r"\1.\2.\3.rate", "unit": r"\1/s"}}
    )
    given = [
        sample("disk.device.read.bytes", volume, at, unit="B", type="cumulative")
        for volume, at in ((1000, 0), (4000, 60))
    ]
    assert step.each(*given) == [None, sample("disk.device.read.bytes.rate", 50, 60, unit="B/s")]


def test_worked_example_unit_conversion():
    step = Step("unit_conversion", source={"unit": "B"}, target={"name": "disk.kb", "unit": "KB", "scale": 1 / 1024})
    other = sample("disk", 2048, unit="MB")
    assert step.give(sample("disk", 2048, unit="B"), other) == [sample("disk.kb", 2, unit="KB"), other]
    assert step.give(other)[0] is other


def test_worked_example_unit_conversion_by_expression():
    step = Step(
        "unit_conversion",
        source={"map_from": {"name": r"hardware\.memory\.(.*)"}},
        target={"map_to": {"name": r"host.memory.\1"}, "unit": "MiB", "scale": "volume * 1.0 / 1024"},
    )
    assert step.give(sample("hardware.memory.total", 2048, unit="KB")) == [sample("host.memory.total", 2, unit="MiB")]


@pytest.mark.parametrize(
    ("growth_only", "deltas"), [(True, [None, "60", None, "50"]), (False, [None, "60", "-120", "50"])]
)
def test_worked_example_delta(growth_only, deltas):
    step = Step("delta", growth_only=growth_only)
    given = [sample("a", volume, at, type="cumulative", unit="x") for at, volume in enumerate((100, 160, 40, 90))]
    made = step.each(*given)
    assert [delta and delta.volume for delta in made] == deltas
    assert made[1].meter == Meter("a", "delta", "x")


def test_worked_example_aggregator_averages_gauges_and_adds_deltas_each_counted_for_itself():
    step = Step("aggregator", size=3, retention_time=60)
    given = [sample("memory.usage", 10, 1), sample("memory.usage", 20, 2), sample("incoming.bytes", 7, 3, type="delta")]
    # Upstream closes here, for it counts the samples of all meters together.
    assert step.each(*given) == [None, None, None]
    assert step.flush(now=100) == [sample("memory.usage", 15, 1), sample("incoming.bytes", 7, 3, type="delta")]
    assert step.state is None


def test_worked_example_aggregator_keeps_the_last_value_of_a_cumulative_meter():
    step = Step("aggregator", size=2)
    assert step.volumes(cpu(10, 0), cpu(25, 1)) == [None, "25"]


def test_worked_example_aggregator_merges_users_and_drops_metadata_where_it_is_told_to():
    step = Step("aggregator", size=2, user_id="first", resource_metadata="drop")
    given = [sample("a", volume, volume, type="delta", user=f"u{volume}", k=volume) for volume in (1, 2)]
    assert step.each(*given) == [None, sample("a", 3, 1, type="delta", user="u1")]


def test_worked_example_arithmetic():
    target = {"name": "memory_util", "unit": "%", "type": "gauge", "expr": "100 * $(memory.usage) / $(memory)"}
    step = Step("arithmetic", target=target)
    given = [sample("memory.usage", 768, 5, unit="MiB"), sample("memory", 1024, 5, unit="MiB")]
    assert step.each(*given) == [None, sample("memory_util", 75, 5, unit="%")]


def test_worked_example_arithmetic_with_metadata():
    step = Step("arithmetic", target={"name": "s", "expr": "$(cpu)*0.000000001/$(cpu).resource_metadata.cpu_number"})
    [made] = step.give(sample("cpu", 8_000_000_000, cpu_number=4))
    assert made.volume == "2"


def test_a_rate_of_samples_of_one_time_is_zero_and_a_falling_gauge_falls():
    step = Step("rate_of_change")
    given = [sample("a", 10, 0), sample("a", 20, 0), sample("a", 5, 10)]
    assert step.volumes(*given) == [None, "0", "-1.5"]


def test_a_rate_is_exact_to_the_microsecond():
    step = Step("rate_of_change")
    assert step.volumes(sample("a", "0.1"), sample("a", "0.4", 0.000003)) == [None, "100000"]


def test_meters_of_one_resource_are_told_apart():
    step = Step("delta")
    assert step.volumes(sample("a", 1), sample("b", 10), sample("a", 2, 1), sample("b", 30, 1)) == [
        None,
        None,
        "1",
        "20",
    ]


def test_a_scale_without_what_it_names_gives_no_sample_says_so_and_goes_on():
    step = Step("rate_of_change", target={"scale": "1 / resource_metadata.n"})
    assert step.volumes(sample("a", 1), sample("a", 3, 1), sample("a", 5, 2, n=2)) == [None, None, "1"]
    assert step.reports == [("rate_of_change", "no rate of a of 'vm-1': a name of the expression is missing")]


@pytest.mark.parametrize("name", ["delta", "rate_of_change"])
def test_only_so_many_meters_of_a_resource_are_remembered(name):
    step = Step(name)
    step.give(*(sample(f"m{number}", 1, number) for number in range(MOST_REMEMBERED + 10)))
    assert len(step.state) == MOST_REMEMBERED
    assert step.give(sample("m5", 2, 5000)) == [] and len(step.give(sample("m900", 2, 5000))) == 1


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**30), max_value=10**30),
    st.integers(1, 10),
)
def test_a_conversion_by_a_number_is_exact(volume, power):
    step = Step("unit_conversion", target={"scale": 2.0**-power})
    [made] = step.give(sample("a", volume_text(volume)))
    assert Fraction(Decimal(made.volume)) * 2**power == Fraction(volume)


def test_the_largest_volumes_stay_volumes():
    step = Step("unit_conversion", target={"scale": 1e-9})
    [made] = step.give(sample("a", "9" * 64))
    assert made.volume == "1" + "0" * 55  # 73 characters do not fit: 28 significant digits


def test_an_aggregate_of_gauges_under_another_name_is_released_too():
    step = Step("aggregator", size=5, retention_time=60, target={"name": "b", "scale": "volume * 10"})
    assert step.give(sample("a", 1, 0), sample("a", 2, 10)) == []
    assert step.flush(now=59.9) == []
    assert step.flush(now=60) == [sample("b", 15, 0)]


def test_an_aggregate_never_holds_samples_that_are_more_than_its_time_apart():
    """As when a node sends at once what it measured in the hours that it was cut off."""
    step = Step("aggregator", retention_time=60, target={"name": "b"})
    made = step.give(*(sample("a", at, at) for at in range(0, 200, 20)))
    assert made == [sample("b", 20, 0), sample("b", 80, 60), sample("b", 140, 120)]
    assert step.give(sample("a", 5, 100)) == [sample("b", 180, 180)]


def test_an_aggregate_that_is_never_filled_is_released_after_a_week():
    step = Step("aggregator", size=5)
    step.give(sample("a", 1, 0), sample("a", 2, 10))
    assert step.transformer.due(step.state) == LONGEST_HELD_MICROSECONDS
    assert step.flush(now=LONGEST_HELD_MICROSECONDS / SECOND) == [sample("a", "1.5", 0)]


def test_what_users_and_projects_used_is_not_added_up_unless_it_is_said_whose_it_becomes():
    given = [sample("a", 1, at, type="delta", user=f"u{at}", project=f"p{at}") for at in range(2)]
    assert Step("aggregator", size=2, user_id="last").give(*given) == []
    [made] = Step("aggregator", size=2, user_id="last", project_id="first", timestamp="last").give(*given)
    assert made == sample("a", 2, 1, type="delta", user="u1", project="p0")


def test_first_and_last_go_by_time_not_by_arrival():
    given = [cpu(volume, at, host=f"h{at}") for volume, at in ((2, 2), (3, 3), (1, 1))]
    [made] = Step("aggregator", size=3).give(*given)
    assert (made.volume, made.timestamp, made.resource.metadata["host"]) == ("3", SECOND, "h3")
    [made] = Step("aggregator", size=3, timestamp="last", resource_metadata="first").give(*given)
    assert (made.timestamp, made.resource.metadata["host"]) == (3 * SECOND, "h1")


def test_the_average_of_thirds_is_rounded_once():
    step = Step("aggregator", size=3)
    assert step.give(sample("a", 0), sample("a", 0), sample("a", 1))[0].volume == "0." + "3" * 28


def test_open_aggregates_of_one_resource_are_bounded():
    step = Step("aggregator", size=2)
    made = step.give(*(sample(f"m{number}", 1, number) for number in range(MOST_REMEMBERED + 1)))
    assert made == [sample("m0", 1, 0)]
    assert "open aggregates" in step.reports[0][1]


def test_an_accumulator_lets_all_go_at_once_as_they_were():
    step = Step("accumulator", size=3)
    given = [sample("a", number, number, a={"b": [0.1, 10**20, None, "é"]}) for number in range(7)]
    assert [step.give(one) for one in given] == [[], [], given[:3], [], [], given[3:6], []]
    assert step.flush(now=1000) == []
    assert step.flush(now=7 * 24 * 3600 + 6) == given[6:]


@pytest.mark.parametrize("size", [0, -1, 1])
def test_an_accumulator_of_less_than_two_holds_nothing(size):
    given = [sample("a", 1), sample("a", 2)]
    assert Step("accumulator", size=size).give(*given) == given


def arithmetic(expr="$(a-b) - $(c)", **target):
    return Step("arithmetic", target={"name": "r", "expr": expr, **target})


def test_meters_with_a_dash_are_meters_not_differences():
    assert arithmetic().volumes(sample("a-b", 5), sample("c", 2)) == [None, "3"]


def test_a_result_has_the_time_and_resource_of_its_own_samples():
    step = arithmetic()
    made = step.give(sample("a-b", 5, 10, user="u", n=1), sample("c", 2, 12, n=2))
    assert made == [sample("r", 3, 12, user="u", n=1)]


def test_old_samples_are_not_mixed_with_new_ones():
    step = arithmetic()
    given = [sample("a-b", 1, 0), sample("c", 2, 60), sample("a-b", 7, 60), sample("c", 3, 0.5)]
    assert step.volumes(*given) == [None, None, "5", "-2"]
    assert step.state is None


def test_samples_of_the_same_time_belong_together_even_if_others_are_near():
    step = arithmetic()
    given = [sample("a-b", 1, 0), sample("a-b", 2, 4), sample("c", 0, 4), sample("c", 0, 0)]
    assert step.volumes(*given) == [None, None, "2", "1"]


def test_a_sample_is_used_once():
    assert arithmetic().volumes(sample("a-b", 1), sample("c", 1), sample("c", 1, 1)) == [None, "0", None]


def test_incomplete_moments_are_bounded_and_it_is_said_what_was_missing():
    step = arithmetic()
    for at in range(0, 20 * 60, 60):
        step.give(sample("a-b", 1, at))
    assert len(step.state) == 8
    assert step.reports[0] == ("arithmetic", "no result for 'vm-1': no c at that time")


def test_a_result_that_is_no_number_is_told():
    step = arithmetic("$(a) / $(b)")
    assert step.give(sample("a", 1), sample("b", 0)) == []
    assert step.reports == [("arithmetic", "no result for 'vm-1': a division by zero")]
    assert step.state is None


@pytest.mark.parametrize(
    ("name", "parameters", "path", "complaint"),
    [
        (
            "rate_of_change",
            {"target": {"scale": "1 +"}},
            "target.scale",
            "'1 +': at character 4: expected an arithmetic expression",
        ),
        ("rate_of_change", {"target": {"scale": "cpus"}}, "target.scale", "expected volume or resource_metadata.key"),
        ("rate_of_change", {"target": {"scale": True}}, "target.scale", "True: expected a number"),
        ("rate_of_change", {"target": {"scale": float("nan")}}, "target.scale", "nan: expected a number"),
        ("rate_of_change", {"target": {"max": "5"}}, "target.max", "'5': expected a number"),
        ("rate_of_change", {"target": {"type": "rate"}}, "target.type", "expected one of gauge, delta, cumulative"),
        ("rate_of_change", {"target": {"name": 7}}, "target.name", "7: expected a text"),
        ("rate_of_change", {"target": {"name": "n" * 256}}, "target.name", "at most 255 characters"),
        ("rate_of_change", {"target": 7}, "target", "7: expected a mapping"),
        ("rate_of_change", {"source": {"map_from": {"name": "("}}}, "source.map_from.name", "not a regular expression"),
        ("rate_of_change", {"source": {"map_from": {"name": "a"}}}, "source.map_from", "has a name but target.map_to"),
        ("rate_of_change", {"target": {"map_to": {"unit": "a"}}}, "target.map_to", "has a unit but source.map_from"),
        (
            "rate_of_change",
            {"source": {"map_from": {"name": "a"}}, "target": {"map_to": {"name": r"\1"}}},
            "target.map_to.name",
            "invalid group reference",
        ),
        ("rate_of_change", {"scale": 1}, "scale", "unknown parameter; known are source, target"),
        ("unit_conversion", {"target": {"scale": "1/1024"}}, "target.scale", "would be the volume of every sample"),
        ("delta", {"target": {"scale": 2}}, "target.scale", "unknown parameter"),
        ("delta", {"target": {"type": "gauge"}}, "target.type", "expected one of delta"),
        ("delta", {"growth_only": "yes"}, "growth_only", "'yes': expected true or false"),
        ("aggregator", {"size": 0}, "size", "0: expected a whole number from 1"),
        ("aggregator", {"retention_time": 8 * 24 * 3600}, "retention_time", "from 1 to 604800"),
        ("aggregator", {"user_id": "drop"}, "user_id", "expected one of first, last"),
        ("aggregator", {"resource_metadata": "all"}, "resource_metadata", "expected one of first, last, drop"),
        ("accumulator", {"size": 1.5}, "size", "1.5: expected a whole number"),
        ("arithmetic", {}, "target.expr", "expected an expression like"),
        ("arithmetic", {"target": {"expr": "1 + 1"}}, "target.expr", "expected an expression like"),
        ("arithmetic", {"target": {"expr": "$(a) +"}}, "target.expr", "expected an arithmetic expression"),
        ("arithmetic", {"target": {"expr": "$(a)", "scale": 1}}, "target.scale", "unknown parameter"),
    ],
)
def test_bad_parameters_are_told_with_their_path(name, parameters, path, complaint):
    with pytest.raises(BadParameters) as error:
        TRANSFORMERS[name](parameters)
    assert [".".join(at) for at, _ in error.value.problems] == [path]
    assert complaint in error.value.problems[0][1]
