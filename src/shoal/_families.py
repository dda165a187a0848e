"""Names of the families of flows and of the fronts, for the parts that never load JAX."""

FAMILY_NAMES = (
    *("nsf", "spline", "realnvp", "nice", "maf", "iaf", "single_coordinate", "planar", "radial", "sylvester"),
    *("residual", "layerwise", "ffjord", "anode", "anf"),
)
FRONT_NAMES = (
    *("standardize", "gaussian", "marginals", "marginals+gaussian"),
    *("mixture", "marginals+mixture", "gaussian+mixture", "marginals+gaussian+mixture"),
)
