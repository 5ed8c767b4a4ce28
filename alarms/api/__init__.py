"""The HTTP API of alarms, on the ground of ``metering.api``: who asks, arguments, errors and pages are the same.

``definitions`` and ``rules`` check what is sent → ``storing`` writes it with its history in one transaction → ``shapes`` print it. Every
list begins at ``scoping``: that is all of tenancy.
"""
