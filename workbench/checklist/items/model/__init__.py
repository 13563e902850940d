"""Which model, in which precision, and whether it is good enough for the task."""

#: In which they are shown.
ORDER = ("task_need", "base_model", "quantisation_scheme", "quantisation_loss", "finetuning")
