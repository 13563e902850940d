"""One folder a stage, one file a check; the registry finds each.

A file holds ``CHECK``, its description, and ``async def look(inspection)``, which asks and concludes. A stage's
``__init__.py`` holds ``ORDER``, in which its checks are shown.
"""
