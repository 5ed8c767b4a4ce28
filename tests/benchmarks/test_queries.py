"""Each question of the benchmark is answered by the samples, too; one that is not has no speed."""

from __future__ import annotations

import pytest
from django.db import connection

from benchmarks import queries
from benchmarks.gates import WrongAnswer
from benchmarks.history import DENSE, SPARSE, load_history
from metering.models import RollupHour, Sample
from tests.metering.api.conftest import Caller


def test_every_question_is_compared_with_the_samples_before_it_is_timed(store):
    history = load_history(3, 3)
    assert history.samples == Sample.objects.count()
    assert RollupHour.objects.exists()
    operator = Caller("operator", operator=True)
    questions = [*queries._statistics(history), *queries._lists(), queries._month_over(history, SPARSE)]
    for question in questions:
        queries._compare(question, lambda target: operator.get(target).content)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE metering_rollupday SET volume_sum = volume_sum + 1")
    with pytest.raises(WrongAnswer, match="month over"):
        queries._compare(queries._month_over(history, DENSE), lambda target: operator.get(target).content)
