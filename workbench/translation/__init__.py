"""Old commands, files, calls and queries translated: what is kept, renamed, gone or wrong, and what stands for it.

A text is read (``reading.py`` and a reader a form) into settings with their places; each is judged against the release
(``judging.py``, ``values.py``, ``history.py``); what is left makes the new command (``assembling.py``, ``writing.py``)
and the deployment it describes (``deploying.py``). ``promql.py`` and ``dashboards.py`` do the same for metrics' names.

Other tools' commands and calls go by tables (``other_tools.py``, ``programs.py``, ``moved.py``, ``python_calls.py``),
with rules for what no table says (``tool_rules.py``). Whole files are mended beside the commands in them: Kubernetes
objects (``manifests.py``, ``object_rules.py``, ``pod_rules.py``), Dockerfiles, Triton's configuration,
``prometheus.yml``.
"""

from workbench.translation.result import Change, Part, Translation
from workbench.translation.whole import translate

__all__ = ["Change", "Part", "Translation", "translate"]
