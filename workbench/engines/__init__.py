"""One room per engine: its flags, its defaults by version, its log lines, its metric names. Nothing is started here."""
