"""`shoal bound`: the depth below which a family of flows must leave hard instances unserved, in plain words.

Or, for affine couplings, the layers that one given linear map needs.
"""

import math
from functools import partial
from typing import Annotated, Any

import typer

from shoal._errors import InputError
from shoal.cli._parse import check_above, check_count, parse_choice
from shoal.cli._session import command, option

FAMILIES = ("planar", "layerwise", "additive", "affine")
DEEPEST = 2000  # layers up to which a limit of their condition numbers is followed
MOST = 1_000_000  # dimensions, and normals in an instance
BINDING = {
    "separation": "the distance: two instances are not more than 2 E apart, so that one flow may serve both; take a smaller "
    "--epsilon",
    "packing": "the sphere: it is not known to hold K points that far apart; take a larger --dim, or a smaller K or E",
    "counting": "the number of instances: there are not even 1 / delta of them that differ enough; take a larger --dim, "
    "K or --delta",
    "parameters": "the parameters of a layer: their number times the depth is what the count of instances outgrows",
    "lipschitz": "the Lipschitz constant of the flow in its parameters, which grows with --radius and with the depth",
}


@command
def bound(
    family: Annotated[
        str,
        option(
            "Layers: planar; layerwise of rank 1; additive coupling of width 16; affine coupling, with --matrix.",
            metavar="planar|layerwise|additive|affine",
        ),
    ],
    dim: Annotated[int | None, option("Dimension of the data.", metavar="D")] = None,
    modes: Annotated[
        int | None, option("Normals in each instance of the family.", "--instances", "--modes", metavar="K")
    ] = None,
    tail: Annotated[
        float | None,
        option(
            "In place of --instances: one target, its density exp(-|x|^T), and planar layers; E is a total variation.",
            metavar="T",
        ),
    ] = None,
    epsilon: Annotated[
        float | None,
        option(
            "W1 distance within which an instance counts as served, in units of the normals' deviation; by default the "
            "radius of their sphere, 10 sqrt(D), by sqrt(5). With --tail a total variation, by default 0.25.",
            metavar="E",
        ),
    ] = None,
    radius: Annotated[
        float, option("Largest norm of the parameters of a layer; with --tail of u alone.", metavar="R")
    ] = 2.0,
    delta: Annotated[float, option("Share of a packing of instances that may be served, at most 1.")] = 0.5,
    confidence: Annotated[
        float, option("Probability with which one instance, its K means drawn uniformly, is left.")
    ] = 0.99,
    matrix: Annotated[
        str | None,
        option(
            "With --family affine: a linear map, a NPY, NPZ or CSV file with a square matrix.", metavar="FILE"
        ),
    ] = None,
    max_condition: Annotated[
        float | None, option("With --matrix: largest condition number of a layer.", metavar="C")
    ] = None,
) -> None:
    """Print lower bounds of depth for mixtures of K normals: of one drawn by lot, and of a packing of them.

    Less deep flows leave a drawn mixture more than E away with probability above --confidence; and of a packing, mixtures
    that differ much, at least 1 - delta. Neither speaks of a mixture that is given. With --matrix: what one linear map
    needs.

    Exit codes: 0 done, also where the bound is vacuous, which is said; 2 bad input.
    """
    kind = parse_choice(family, "--family", FAMILIES)
    if (kind == "affine") != (matrix is not None) or (max_condition is not None and matrix is None):
        raise InputError(
            "--family affine and --matrix FILE belong together; --max-condition C goes with them only."
        )
    if matrix is not None:
        if (dim, modes, tail, epsilon) != (None, None, None, None):
            raise InputError("--matrix takes none of --dim, --instances, --tail and --epsilon.")
        typer.echo("\n".join(_of_a_map(matrix, max_condition)))
        return
    if dim is None:
        raise InputError("Give --dim D, the dimension of the data.")
    _count(dim, "--dim", 2)
    check_above(radius, "--radius")
    if (modes is None) == (tail is None):
        raise InputError("Give --instances K, for a family of mixtures, or --tail T, for one target.")
    if modes is not None:
        lines = _of_a_family(kind, dim, modes, epsilon, radius, (delta, confidence))
    else:
        lines = _of_one_target(kind, dim, tail or 0.0, 0.25 if epsilon is None else epsilon, radius)
    typer.echo("\n".join(lines))


def _count(value: int, option: str, least: int) -> None:
    check_count(value, option, least)
    if value > MOST:
        raise InputError(f"{option} must be at most {MOST}; got {value}.")


def _of_a_family(
    kind: str, dim: int, modes: int, epsilon: float | None, radius: float, shares: tuple[float, float]
) -> list[str]:
    """The bounds for mixtures of `modes` normals; `shares`: delta and confidence."""
    _count(modes, "--instances", 1)
    if epsilon is not None:
        check_above(epsilon, "--epsilon")
    if not 0 < shares[0] <= 1:
        raise InputError(f"--delta must lie in (0, 1]; got {shares[0]:g}.")
    if not 0 < shares[1] < 1:
        raise InputError(f"--confidence must lie in (0, 1); got {shares[1]:g}.")
    from shoal.theory import hardness  # here and not above: `shoal --help` must not wait for it

    make = {"planar": hardness.planar, "layerwise": hardness.layerwise, "additive": hardness.additive}
    architecture = make[kind](dim, radius=radius)
    instances = hardness.InstanceFamily(modes, dim, distance=epsilon)
    return sentences(architecture, instances, hardness.minimum_depth(architecture, instances, *shares))


def _of_one_target(kind: str, dim: int, tail: float, epsilon: float, radius: float) -> list[str]:
    """The second bound: planar layers with bounded shifts against one heavy-tailed target."""
    if kind != "planar":
        raise InputError(f"--tail is for --family planar; got {kind}.")
    if not 0 < tail <= 2:
        raise InputError(f"--tail must lie in (0, 2]; got {tail:g}.")
    if not 0 < epsilon < 1:
        raise InputError(f"With --tail, --epsilon is a total variation in (0, 1); got {epsilon:g}.")
    from shoal.theory import hardness

    found = hardness.local_planar_depth(hardness.HeavyTails(dim, tail), radius=radius, distance=epsilon)
    depth = (
        f"at least {found.depth}: fewer layers stay at a total variation of more than {epsilon:g}."
        if not found.vacuous
        else "1 (vacuous). This bound says nothing here, and does not promise that one layer is enough."
    )
    return [
        f"Flows:     planar layers z + u tanh(<w, z> + b) on R^{dim} with |u| <= {radius:g}, any w and b, base N(0, I).",
        f"Target:    density proportional to exp(-|x|^{tail:g}).",
        f"Depth:     {depth}",
        f"Counted:   the base is at least {found.from_base:.4g} away, and a layer gains at most {radius * found.score:.3g}.",
        "This speaks of this one target in these units. A layer that scales the data is not covered, and makes the bound "
        "vacuous: in units of the base one planar layer may gain more than any total variation.",
    ]


def _of_a_map(matrix: str, max_condition: float | None) -> list[str]:
    """The layers that a linear map needs, and how well conditioned they can be."""
    if max_condition is not None:
        check_above(max_condition, "--max-condition", 1.0)
    from shoal.cli._data import say_notes
    from shoal.tables import read_matrix
    from shoal.theory import linear

    array = read_matrix(matrix, partial(say_notes, matrix))
    try:
        bounds = linear.condition_bounds(array)
        least = linear.fewest_layers(array, most=3)
    except InputError as error:
        raise InputError(f"{matrix}: {error}") from error
    n, fewest, why = len(array), least.at_least, least.obstruction
    lines = [
        f"Map:       {n} x {n}, as affine couplings of the first {n // 2} coordinates and the others.",
        f"Depth:     at least {fewest}, whichever half comes first; six are enough.",
    ]
    if why is not None:
        lines.append(f"Why:       lower first: {why.lower_first}; upper first: {why.upper_first}.")
    shown = ", ".join(f"{bounds.either(m):.4g} for {m}" for m in sorted({max(fewest, 4), 6, 8, 12, 24}))
    lines.append(f"Condition: the largest of a layer is at least {shown} layers.")
    if max_condition is not None:
        enough = next((m for m in range(fewest, DEEPEST) if bounds.either(m) <= max_condition), DEEPEST)
        lines.append(f"Limit:     layers of condition {max_condition:g} at most: at least {enough} of them.")
    return lines


def sentences(architecture: Any, instances: Any, found: Any) -> list[str]:
    """What the command prints, a paragraph an entry."""
    share = f"{1 - found.delta:.0%}"
    lines = [
        f"Flows:     {architecture.name} layers on R^{architecture.dim}, {architecture.parameters} parameters a layer, of "
        f"norm at most {architecture.radius:g}.",
        f"Instances: mixtures of {instances.k} equal normals of deviation {instances.gamma:g}, means on the sphere of "
        f"radius {instances.r:.4g}; served means W1 <= {found.distance:.4g}.",
    ]
    if found.vacuous:
        lines += [
            "Depth:     1 (vacuous). No depth is excluded: this is a bound that says nothing, not a promise that one layer "
            "is enough.",
            f"Binds:     {BINDING[found.binding_term]}.",
        ]
    else:
        lines += [
            f"Depth:     at least {found.depth} for more than {found.delta:.0%} of a packing of instances: "
            f"{_less(found.depth)} at least {share} of it at W1 > {found.distance:.4g}.",
            f"KL:        of each pair that is left, KL(instance || flow) >= {found.kl_to_flow:.3g} and "
            f"KL(flow || instance) >= {found.kl_from_flow:.3g}.",
            f"Binds:     {BINDING[found.binding_term]}.",
            f"Counted:   e^{found.log_instances:.4g} instances, angle {math.degrees(found.angle):.0f} degrees, overlap "
            f"{found.overlap:g}.",
        ]
    if found.drawn > 1:
        lines.insert(
            2,
            f"Drawn:     at least {found.drawn} for one instance whose {instances.k} means are drawn uniformly and "
            f"independently: {_less(found.drawn)} it at W1 > {found.distance:.4g}, with probability above "
            f"{found.confidence:.6g}.",
        )
    return [
        *lines,
        "A packing is a finite set of instances that differ much: most of it is not most laws, and which of it are left is "
        "not known. Of an instance that is given neither says anything.",
    ]


def _less(depth: int) -> str:
    """Who leaves instances, one layer below `depth`."""
    return "one layer leaves" if depth == 2 else f"flows of at most {depth - 1} layers leave"
