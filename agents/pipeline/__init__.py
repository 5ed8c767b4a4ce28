"""From samples and events to where they go: ``definition`` (the files) → ``run`` → ``transformers``, ``state`` → ``publishers``."""
