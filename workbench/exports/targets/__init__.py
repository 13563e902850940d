"""One file per target, in the folder of its group: a ``TARGET`` (:class:`workbench.exports.target.Target`)."""
