"""What the notebooks of ``notebooks/learn/`` are made of: a picture, and the controls that move it.

>>> import numpy as np
>>> from workbench.ui.learn import Explorer, Picture, drawing
>>> def squares(power=2):
...     x = np.arange(5.0)
...     return Picture(drawing.lines({"x to that power": (x, x**power)}), f"4 becomes {4**power}.")
>>> explorer = Explorer(squares, power=(1, 3))
>>> explorer.controls["power"].value = 3
>>> explorer.said
'4 becomes 64.'
"""

from workbench.ui.learn.explorer import Explorer, Picture

__all__ = ["Explorer", "Picture"]
