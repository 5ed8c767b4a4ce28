"""`python -m config.launch`: the embedded servers and the roles of the Procfile, started and stopped as one.

What needs a database or Django runs in child processes; the supervisor itself stays small, so that it can
still clean up when everything else is broken.
"""
