from tests.support.samples import _old_weeks, old_weeks

__all__ = ["_old_weeks", "old_weeks"]
