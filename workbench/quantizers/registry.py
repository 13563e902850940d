"""What a quantisation method is: its parameters, what it needs, and how a name leads to it.

How a method is written is in :mod:`workbench.quantizers.method`.
"""

from __future__ import annotations

import difflib
import math
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from workbench.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    from workbench.headers import Tensor
    from workbench.quantizers.source import Source


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a method, under the library's own name.

    Parameters
    ----------
    name : str
        As the library writes it.
    default : bool, int, float, str, list of str or None
        What applies when it is left out.
    doc : str
        What it does, in a sentence.
    type : type
        bool, int, float, str or list (of str).
    choices : tuple
        The only values accepted, if not empty.
    low, high : float or None
        Range of a number, both ends included.
    optional : bool
        Whether None is accepted.
    """

    name: str
    default: Any
    doc: str
    type: type
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    optional: bool = False

    def accepts(self) -> str:
        """What may be given, in words.

        >>> Parameter("bits", 4, "", int, choices=(4, 8)).accepts()
        '4 or 8'
        """
        if self.choices:
            shown = [repr(c) if isinstance(c, str) else str(c) for c in self.choices]
            text = " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 2 else shown)
        elif self.type is bool:
            text = "true or false"
        elif self.type is list:
            text = "a list of names"
        elif self.type is str:
            text = "a text"
        else:
            noun = "a whole number" if self.type is int else "a number"
            text = f"{noun} from {self.low} to {self.high}" if self.low is not None else noun
        return f"{text}, or none" if self.optional else text

    def check(self, value: Any) -> Any:
        """The value, converted; text is read as the type (command line).

        Raises
        ------
        InvalidInput
            If it is not accepted; the message says what is.
        """
        refused = InvalidInput(f"{self.name} is {value!r}; {self.accepts()} is needed")
        if isinstance(value, str) and self.type is not str:
            value = self._parse(value, refused)
        if value is None:
            if self.optional:
                return None
            raise refused
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if self.type is list and isinstance(value, (list, tuple)):
            if not all(isinstance(item, str) and item for item in value):
                raise refused
            value = list(value)
        if not isinstance(value, self.type) or (isinstance(value, bool) and self.type is not bool):
            raise refused
        if isinstance(value, float) and not math.isfinite(value):
            raise refused
        if self.type is str:
            value = next((c for c in self.choices if str(c).casefold() == value.casefold()), value)
        if self.choices and value not in self.choices:
            raise refused
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            raise refused
        return value

    def _parse(self, text: str, refused: InvalidInput) -> Any:
        word = text.strip().casefold()
        if self.optional and word in ("none", "null"):
            return None
        if self.type is bool:
            known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
            if word not in known:
                raise refused
            return known[word]
        if self.type is list:
            return [item.strip() for item in text.split(",") if item.strip()]
        try:
            return self.type(text)
        except ValueError:
            raise refused from None


@dataclass(frozen=True, slots=True)
class Method:
    """A way to quantise a model.

    Parameters
    ----------
    id, title : str
        Name in ``wb.quantize(method=…)``; name people read.
    library : str
        Distribution that does it, and the release its parameters are those of.
    scheme : str
        The scheme of ``formats.py`` that comes out.
    parameters : tuple of Parameter
        The library's own.
    calibrates : bool
        Whether it needs text.
    calibrates_if : callable, optional
        Parameters -> whether it needs text with these, where that depends on them.
    capability : tuple of int
        Lowest CUDA compute capability that vLLM loads the result on.
    native : tuple of int
        Lowest compute capability that also multiplies in the format; below, weights only.
    engines : tuple of str
        What loads the result.
    model_types : frozenset of str
        ``model_type`` values the library knows; empty means any that transformers knows.
    note : str
        What a user should know before choosing it.
    samples, length : str
        Names of the parameters that say how many texts, and how many tokens each.
    environment : str
        Where it runs.
    together : callable, optional
        Raises InvalidInput for parameters that exclude each other.
    quality : str
        The row of ``data/quality.csv`` whose measurements were made with this method; empty where none is known.
    drops_long : bool
        Whether a calibration text that is longer than ``length`` is dropped; else it is cut.
    against : callable, optional
        Source and parameters -> reasons why this method cannot quantise it, beyond what holds for all.
    remarks : callable, optional
        Parameters -> what one should know of this choice.
    working : callable, optional
        Tensors of the largest layer and calibration tokens -> host memory that calibrating takes besides the weights
        [bytes]; a layer's inputs and Hessians where a method does not say.
    made : callable, optional
        Parameters -> the scheme that comes out, where that depends on them.
    about : callable, optional
        Source and parameters -> what one should know of this choice for this model.
    memory : callable, optional
        Source and parameters -> host memory it takes besides its libraries [bytes], where torch holds no model.
    scratch : callable, optional
        Source and parameters -> disk needed on the way, besides the result [bytes].
    whole_model : bool
        Whether every matrix is quantised, embeddings too.
    size : callable, optional
        Source and parameters -> bytes of the result's tensors [bytes], where the scheme's own arithmetic over
        the quantised matrices does not say it.
    here : callable, optional
        Why it cannot run on this machine, or "".
    variants : tuple of mapping
        What is tried when every method is: parameters that differ from the defaults, one mapping a trial.
    """

    id: str
    title: str
    library: str
    scheme: str
    parameters: tuple[Parameter, ...]
    engines: tuple[str, ...]
    calibrates: bool = True
    calibrates_if: Callable[[Mapping[str, Any]], bool] | None = None
    capability: tuple[int, int] = (0, 0)
    native: tuple[int, int] = (0, 0)
    model_types: frozenset[str] = field(default_factory=frozenset)
    note: str = ""
    samples: str = ""
    length: str = ""
    environment: str = "quantize"
    together: Callable[[Mapping[str, Any]], None] | None = None
    quality: str = ""
    drops_long: bool = False
    against: Callable[[Source, Mapping[str, Any]], list[str]] | None = None
    remarks: Callable[[Mapping[str, Any]], list[str]] | None = None
    working: Callable[[Sequence[Tensor], int], int] | None = None
    made: Callable[[Mapping[str, Any]], str] | None = None
    about: Callable[[Source, Mapping[str, Any]], list[str]] | None = None
    memory: Callable[[Source, Mapping[str, Any]], int] | None = None
    scratch: Callable[[Source, Mapping[str, Any]], int] | None = None
    whole_model: bool = False
    size: Callable[[Source, Mapping[str, Any]], int] | None = None
    here: Callable[[], str] | None = None
    variants: tuple[Mapping[str, Any], ...] = ({},)

    def reads_text(self, parameters: Mapping[str, Any]) -> bool:
        """Whether it needs calibration text with these parameters."""
        return self.calibrates and (self.calibrates_if is None or self.calibrates_if(parameters))

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters: those given, validated, and the defaults of the rest.

        Raises
        ------
        UnknownName
            For a parameter the method does not have; names the nearest.
        InvalidInput
            For a value it does not accept.
        """
        known = {p.name: p for p in self.parameters}
        for name in given:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = "" if close else f"it has {', '.join(known)}"
                raise UnknownName(f"parameter of {self.id}", name, known, hint)
        values = {name: p.check(given[name]) if name in given else p.default for name, p in known.items()}
        if self.together is not None:
            self.together(values)
        return values


@cache
def methods() -> dict[str, Method]:
    """Every method, by id: one for each file of ``method/``."""
    package = import_module("workbench.quantizers.method")
    found = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        described: Method = import_module(f"{package.__name__}.{module}").METHOD
        found[described.id] = described
    return found


def find(id: str) -> Method:
    """One method.

    Raises
    ------
    UnknownName
        If there is none of that id.
    """
    try:
        return methods()[id]
    except (KeyError, TypeError):
        raise UnknownName("method", str(id), methods(), f"one of {', '.join(methods())}") from None
