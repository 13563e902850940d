"""One file a method of quantisation; the registry finds each.

A file is read twice: by the base install, which has no torch, for the description ``METHOD``; and inside the
environment that ``METHOD`` names, by the worker, for the functions that do the work, so these import the heavy
libraries late:

``quantize(source, out, parameters, samples, tell)``
    Write the quantised checkpoint of folder ``source`` into folder ``out``. ``samples`` are token ids of calibration
    texts, none where the method needs no text. ``tell(fraction, stage, detail="", seconds_left=None)`` takes progress.
``load(folder, dtype)``
    The result, to be asked (:class:`workbench.quality.measure.Scored`).
``original(source, out, dtype)``
    The model before, to be asked; transformers reads it where a file does not say this. A folder ``out / WORK`` is
    there for what is needed on the way; it is not part of the result.
"""

#: Folder inside the result's, for what is needed on the way; removed before the result is kept.
WORK = ".work"
