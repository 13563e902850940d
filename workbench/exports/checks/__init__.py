"""One file per kind of file: ``KIND``, ``check(file)`` within this process, and where a program reads it ``ask(file)``.

Both return :class:`workbench.exports.file.Check` items and raise nothing for what a file holds.
"""
