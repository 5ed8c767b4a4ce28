"""The HTTP API. Views are doorways: they check a request (``views``, ``arguments``), ask ``metering.queries`` or ``metering.statistics`` or
hand samples to ``metering.collector``, and shape the answer (``v2.shapes``, ``renderers``). Errors become answers in ``errors``.
"""
