"""What a change of precision costs a model: perplexity, divergence from the original, layer by layer, in its own words.

Runs inside an environment, on whatever runs the model there (transformers, llama.cpp): see :class:`measure.Scored`.
The text is the same for all, and so is the arithmetic, so that a difference comes from the model.
"""
