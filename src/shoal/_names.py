"""Names of families of flows, of fronts, and of what is measured, for the parts that never load JAX."""

from typing import Literal, TypeAlias, get_args

Direction: TypeAlias = Literal["forward", "inverse"]  # latent -> data, data -> latent
Way: TypeAlias = Literal["data", "latent"]  # of a round trip: x -> z -> x, z -> x -> z
Precision: TypeAlias = Literal["float64", "float32", "bfloat16"]

Kind: TypeAlias = Literal[  # of a column
    "number", "count", "positive", "bounded", "periodic", "category", "date", "identifier"
]

KINDS: tuple[Kind, ...] = get_args(Kind)
FAMILY_NAMES = (
    *("nsf", "spline", "realnvp", "nice", "maf", "iaf", "single_coordinate", "planar", "radial", "sylvester"),
    *("residual", "layerwise", "ffjord", "anode", "anf"),
)
FRONT_NAMES = (
    *("standardize", "gaussian", "marginals", "marginals+gaussian"),
    *("mixture", "marginals+mixture", "gaussian+mixture", "marginals+gaussian+mixture"),
)
