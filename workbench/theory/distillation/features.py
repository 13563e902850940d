"""What happens inside the teacher, taught too: hidden states matched through a projection.

The student is narrower and has fewer layers. So each of its layers is given one of the teacher's to follow, and a
matrix, learned with the student and thrown away afterwards, brings its states to the teacher's width.

References
----------
Romero and others, "FitNets: Hints for Thin Deep Nets", arXiv 1412.6550, equation 3: ½ ||hint − regressor(guided)||².
Jiao and others, "TinyBERT", arXiv 1909.10351, equation 8: MSE(H_S W, H_T), and section 3.1: which layer follows which.
Least error of a matrix of rank r: Eckart and Young, https://doi.org/10.1007/BF02288367.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import InvalidInput

Floats = NDArray[np.float64]


def followed_layers(student_layers: int, teacher_layers: int) -> list[int]:
    """Which of the teacher's layers each of the student's follows: spread evenly, the last follows the last.

    Layer m of S follows layer ceil(m T / S) of T; both count from 1.

    Examples
    --------
    >>> followed_layers(2, 4), followed_layers(3, 4)
    ([2, 4], [2, 3, 4])

    Raises
    ------
    InvalidInput
        If the student has no layer, or more than the teacher.
    """
    if not 1 <= student_layers <= teacher_layers:
        raise InvalidInput(
            f"a student of {student_layers} layers cannot follow a teacher of {teacher_layers}; "
            "give it at least one layer and at most the teacher's"
        )
    return [-(-layer * teacher_layers // student_layers) for layer in range(1, student_layers + 1)]


def feature_loss(student: ArrayLike, teacher: ArrayLike, projection: ArrayLike) -> float:
    """How far the projected states lie from the teacher's, as a share of these: ||S W − T||² / ||T||².

    TinyBERT's mean squared error over the mean square of the teacher's states, so that 0 is a copy and 1 is no better
    than saying nothing, whatever the scale of a layer.

    Parameters
    ----------
    student : array_like, shape (tokens, student width)
        S.
    teacher : array_like, shape (tokens, teacher width)
        T.
    projection : array_like, shape (student width, teacher width)
        W.

    Raises
    ------
    InvalidInput
        If the shapes do not fit, or all of the teacher's states are 0.

    Examples
    --------
    >>> feature_loss([[1.0], [2.0]], [[1.0, 0.0], [2.0, 0.0]], [[1.0, 0.0]])
    0.0
    >>> feature_loss([[1.0], [2.0]], [[1.0, 0.0], [2.0, 0.0]], [[0.0, 0.0]])
    1.0
    """
    s, t, w = _checked(student, teacher, projection)
    return float(np.square(s @ w - t).sum() / np.square(t).sum())


def feature_gradients(student: ArrayLike, teacher: ArrayLike, projection: ArrayLike) -> tuple[Floats, Floats]:
    """Gradients of :func:`feature_loss` with respect to the student's states and to the projection.

    With D = S W − T: 2 D Wᵀ / ||T||² and 2 Sᵀ D / ||T||².

    Returns
    -------
    student, projection : ndarray, each of the shape of what it is the gradient of
    """
    s, t, w = _checked(student, teacher, projection)
    apart = 2 * (s @ w - t) / np.square(t).sum()
    return apart @ w.T, s.T @ apart


def best_projection(student: ArrayLike, teacher: ArrayLike) -> Floats:
    """The projection of least :func:`feature_loss`: the least squares solution of S W = T.

    Returns
    -------
    ndarray, shape (student width, teacher width)

    Examples
    --------
    >>> best_projection([[1.0], [2.0]], [[2.0, 2.0], [4.0, 4.0]]).round(3)
    array([[2., 2.]])
    """
    s, t = _states(student, teacher)
    return np.asarray(np.linalg.lstsq(s, t, rcond=None)[0])


def least_loss(teacher: ArrayLike, width: int) -> float:
    """The loss below which no student of so many dimensions can get, however it is trained.

    What a projection makes of `width` numbers has at most that rank, so at least the energy of the remaining singular
    values σ of the teacher's states is missed: Σ_{i > width} σ_i² / Σ σ_i².

    Parameters
    ----------
    teacher : array_like, shape (tokens, teacher width)
    width : int
        Of the student.

    Examples
    --------
    >>> least_loss(np.diag([3.0, 2.0, 1.0]), 2) == 1 / 14
    True
    """
    t = _matrix(teacher, "the teacher's states")
    if width < 1:
        raise InvalidInput(f"width is {width}; a student needs at least one dimension")
    energy = np.linalg.svd(t, compute_uv=False) ** 2
    return float(energy[width:].sum() / energy.sum())


def _checked(student: ArrayLike, teacher: ArrayLike, projection: ArrayLike) -> tuple[Floats, Floats, Floats]:
    s, t = _states(student, teacher)
    w = _matrix(projection, "the projection")
    if w.shape != (s.shape[1], t.shape[1]):
        raise InvalidInput(f"the projection is {w.shape}; from {s.shape[1]} to {t.shape[1]} dimensions are needed")
    if not np.any(t):
        raise InvalidInput("all of the teacher's states are 0; there is nothing to follow")
    return s, t, w


def _states(student: ArrayLike, teacher: ArrayLike) -> tuple[Floats, Floats]:
    s, t = _matrix(student, "the student's states"), _matrix(teacher, "the teacher's states")
    if len(s) != len(t):
        raise InvalidInput(f"the student saw {len(s)} tokens, the teacher {len(t)}; both must see the same")
    return s, t


def _matrix(values: ArrayLike, what: str) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 2 or found.size == 0 or not np.all(np.isfinite(found)):
        raise InvalidInput(f"{what} must be a matrix of finite numbers, not of shape {found.shape}")
    return found
