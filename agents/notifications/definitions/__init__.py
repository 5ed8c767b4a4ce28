"""What operators write about notifications, compiled once and then applied to each. Pure, but for reading the files.

``path_syntax`` reads a path into its ``path_parts``, ``paths`` makes a getter of it, ``operations`` are its sums, comparisons and
functions. ``values`` are the forms in which files name a value (a path, several, a plugin), ``plugins`` what may be done with what paths
find. On these stand the two kinds of files: ``meters``, with the making of ``samples``, and ``events``, with ``traits`` and ``globs``.
"""
