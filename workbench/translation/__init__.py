"""Old vLLM commands, files, calls and queries translated for another release: what is kept, renamed, gone or wrong.

A text is read (``reading.py`` and a reader a form) into settings with their places; each is judged against the release
(``judging.py``, ``values.py``, ``history.py``); what is left makes the new command (``assembling.py``, ``writing.py``)
and the deployment it describes (``deploying.py``). ``promql.py`` and ``dashboards.py`` do the same for metrics' names.
"""

from workbench.translation.result import Change, Part, Translation
from workbench.translation.whole import translate

__all__ = ["Change", "Part", "Translation", "translate"]
