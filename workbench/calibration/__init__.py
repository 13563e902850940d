"""Constants of the speed model, learned from measurements (SciPy, which planning does not need)."""

from workbench.calibration.kernels import fit_kernels
from workbench.calibration.overheads import learn

__all__ = ["fit_kernels", "learn"]
