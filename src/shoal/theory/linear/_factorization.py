"""The result of `factor`: layers, signs, and every figure that says how good they are."""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from shoal._errors import InputError
from shoal._scalars import FloatArray, IntArray
from shoal.records import FactorizationRecord, write_bytes
from shoal.records.factorization import LinearLayer, Residual
from shoal.theory.linear._layer import Kind, Layer, product
from shoal.theory.linear.certify import FactorizationCertificate, certify

FORMAT = 1
PICTURED = 64  # the largest n whose matrices a record holds


class LayerConditions(NamedTuple):
    """κ of each layer, from left to right, and the largest."""

    layers: tuple[float, ...]
    largest: float


@dataclass(frozen=True, eq=False)
class Factorization:
    """T = diag(signs) @ layers[0] @ layers[1] @ ... in the order of coordinates (kept, rest).

    **Fields:** `target`: T, (n, n) float64; `layers`: alternating lower and upper `Layer`s, the rightmost acts first;
    `signs`: (n,), all ones unless det T < 0, then -1 at the last coordinate; `kept`: the index set S, the coordinates
    that lower layers leave alone; `route`: the way that was taken.
    """

    target: FloatArray
    layers: tuple[Layer, ...]
    signs: FloatArray
    kept: tuple[int, ...]
    route: str

    @cached_property
    def order(self) -> IntArray:
        """S, then the other coordinates in ascending order."""
        chosen = set(self.kept)
        return np.array([*self.kept, *(i for i in range(len(self.target)) if i not in chosen)], dtype=np.intp)

    def matrix(self) -> FloatArray:
        """The product, (n, n), in the dtype of the layers."""
        return self._times(1.0)

    @cached_property
    def residual(self) -> Residual:
        """Relative residuals against T itself; a scalar is taken out first, so that no square overflows."""
        return Residual(self._against(self), self._against(self.astype(np.float32)))

    @cached_property
    def conditions(self) -> LayerConditions:
        """κ of each layer and the largest (the sign layer has κ = 1)."""
        each = tuple(layer.condition() for layer in self.layers)
        return LayerConditions(each, max(each))

    @property
    def log_abs_det(self) -> float:
        """log |det T| = the sum of all log-scales."""
        return float(sum(np.sum(layer.log_scale, dtype=np.float64) for layer in self.layers))

    def apply(self, x: FloatArray) -> FloatArray:
        """T x for each vector of x (..., n), by the layers. **Raises:** InputError for another last axis."""
        y = self._checked(x)[..., self.order]
        for layer in reversed(self.layers):
            y = layer.apply(y)
        return y[..., np.argsort(self.order)] * self.signs

    def inverse(self, x: FloatArray) -> FloatArray:
        """T^{-1} x for each vector of x (..., n), by the layers: no system is solved."""
        y = (self._checked(x) * self.signs)[..., self.order]
        for layer in self.layers:
            y = layer.inverse(y)
        return y[..., np.argsort(self.order)]

    def astype(self, dtype: DTypeLike) -> "Factorization":
        """The same with the layers in another dtype; T stays as it is."""
        return replace(self, layers=tuple(layer.astype(dtype) for layer in self.layers))

    def save(self, path: str | Path) -> None:
        """Write an `.npz` file without pickle, in one step: T, signs, kept, and block_i, log_scale_i of every layer."""
        arrays: dict[str, Any] = {
            "target": self.target,
            "signs": self.signs,
            "kept": np.array(self.kept, np.int64),
        }
        for i, layer in enumerate(self.layers):
            arrays[f"block_{i}"], arrays[f"log_scale_{i}"] = layer.block, layer.log_scale
        about = {"format": FORMAT, "route": self.route, "kinds": [layer.kind for layer in self.layers]}
        buffer = io.BytesIO()
        np.savez(buffer, about=np.array(json.dumps(about)), **arrays)
        write_bytes(buffer.getvalue(), path)

    @staticmethod
    def load(path: str | Path) -> "Factorization":
        """Read what `save` wrote. **Raises:** InputError (a ValueError) for any other file."""
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as data:
                return _read(data)
        except FileNotFoundError:
            raise InputError(f"{path}: no such file.") from None
        except (ValueError, KeyError, OSError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{path}: not a factorization that Shoal wrote ({error}).") from None

    def certificate(self, *, existence: bool = True, seconds: float = 60.0) -> FactorizationCertificate:
        """A rigorous bound of |T - product|, and a proof that an exact factorization is near: see the class.

        **Arguments:** `existence`: False for the bound only. `seconds`: existence is not begun later than this.

        **Raises:** InputError: python-flint, the extra `certify`, is not installed; a number is not finite.
        """
        parts = [(layer.kind, layer.block, layer.log_scale) for layer in self.layers]
        return certify(self.target, parts, self.signs, self.order, existence=existence, seconds=seconds)

    def to_record(self) -> FactorizationRecord:
        """What `shoal.report` draws: figures of each layer and, up to n = 64, T, the product and the layers.

        T and the product are in the order of coordinates (kept, rest), as the layers are.
        """
        small = len(self.target) <= PICTURED
        return FactorizationRecord(
            size=len(self.target),
            kept=list(self.kept),
            route=self.route,
            signs=self.signs.tolist(),
            residual=self.residual,
            largest_condition=self.conditions.largest,
            log_abs_det=self.log_abs_det,
            target=self._ordered(self.target).tolist() if small else None,
            product=self._ordered(self.matrix()).tolist() if small else None,
            layers=[
                LinearLayer(
                    kind=layer.kind,
                    additive=layer.additive,
                    condition=condition,
                    block_norm=float(np.linalg.norm(layer.block, 2)) if layer.block.size else 0.0,
                    log_scale_range=_range(layer.log_scale),
                    matrix=layer.matrix().tolist() if small else None,
                )
                for layer, condition in zip(self.layers, self.conditions.layers, strict=True)
            ],
        )

    def __repr__(self) -> str:
        pattern = " ".join(layer.kind[0].upper() for layer in self.layers)
        sign = "" if np.all(self.signs > 0) else ", one sign"
        return (
            f"Factorization({len(self.target)}x{len(self.target)}, {len(self.layers)} layers {pattern}{sign}, "
            f"residual {self.residual.float64:.1e}, largest condition {self.conditions.largest:.4g}, {self.route})"
        )

    def _times(self, scalar: float) -> FloatArray:
        inner = product(self.layers, scalar)
        out = np.empty_like(inner)
        out[np.ix_(self.order, self.order)] = inner
        return out * self.signs.astype(inner.dtype)[:, None]

    def _ordered(self, matrix: FloatArray) -> FloatArray:
        return matrix[np.ix_(self.order, self.order)]

    def _checked(self, x: FloatArray) -> FloatArray:
        x = np.asarray(x)
        if x.ndim == 0 or x.shape[-1] != len(self.target):
            raise InputError(f"needs vectors of length {len(self.target)}; got an array of shape {x.shape}.")
        return x

    @staticmethod
    def _against(made: "Factorization") -> float:
        scale, unit = float(np.max(np.abs(made.target))), 1.0
        if made.layers[0].block.dtype == np.float64:  # no partial product overflows
            unit = float(np.ldexp(1.0, -np.clip(np.frexp(scale)[1], -1000, 1000)))
        with np.errstate(all="ignore"):
            off = (unit * made.target - made._times(unit).astype(np.float64)) / (unit * scale)
        return float(np.linalg.norm(off) / np.linalg.norm(made.target / scale))


def _read(data: Mapping[str, np.ndarray]) -> Factorization:
    about = json.loads(str(data["about"]))
    if about["format"] != FORMAT:
        raise ValueError(f"its format is {about['format']!r}; this version reads {FORMAT}")
    kept, target, signs = tuple(int(i) for i in data["kept"]), data["target"], data["signs"]
    layers = tuple(
        Layer(kind, data[f"block_{i}"], data[f"log_scale_{i}"]) for i, kind in enumerate(about["kinds"])
    )
    n = len(signs)
    fit = all(sum(layer.block.shape) == n and layer.kept == len(kept) for layer in layers)
    if not (layers and fit and target.shape == (n, n) and signs.shape == (n,) and set(kept) <= set(range(n))):
        raise ValueError("the shapes in it do not fit together")
    return Factorization(target, layers, signs, kept, about["route"])


def assembled(
    target: FloatArray,
    layers: Sequence[Layer],
    signs: FloatArray,
    kept: Sequence[int],
    route: str,
    first: Kind,
) -> Factorization:
    """A `Factorization` from layers that were found for the lower-first problem; mirrored ones are turned back."""
    turned = tuple(layers) if first == "lower" else tuple(layer.mirrored() for layer in layers)
    return Factorization(target, turned, signs, tuple(kept), route)


def _range(values: FloatArray) -> tuple[float, float]:
    return (float(np.min(values)), float(np.max(values))) if values.size else (0.0, 0.0)
