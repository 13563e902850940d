"""One file per engine: a ``SERVER`` (:class:`workbench.exports.server.Server`)."""
