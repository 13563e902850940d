"""A safetensors checkpoint as one GGUF file: what llama.cpp quantises, measures and serves.

No torch: numbers are moved as bits with NumPy, one tensor at a time, and the file is written by llama.cpp's own package
``gguf``. What the base install can ask beforehand (:func:`fields.unsupported`, :func:`vocabulary.read`) needs neither.

References
----------
llama.cpp at the commit in llama-cpp-python 0.3.36: ``conversion/base.py``, ``llama.py`` and ``qwen.py``, which say what
a file of each architecture holds; https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, which names the keys.
"""
