"""What each recipe's layer costs, how it inverts, what bounds it, what it can not do: the table of docs/architectures.md."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """One recipe of `shoal.flows`.

    `paper`: where it is from; `layer`: its equation; `log_det`, `inverse`: how, and what they cost for n coordinates (one
    net: one evaluation of the layer's conditioner); `bounds`: of the singular values of a layer's Jacobian; `limits`: what
    it can not do.
    """

    recipe: str
    paper: str
    layer: str
    log_det: str
    inverse: str
    bounds: str
    limits: str


ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture(
        "nice",
        "Dinh, Krueger, Bengio 2015",
        "x₂ = z₂ + t(z₁)",
        "0",
        "closed form, one net",
        "within (ℓ + √(ℓ² + 4)) / 2 of 1 both ways, ℓ = Lip t",
        "change volume: a Gaussian of another determinant is out of reach at any depth",
    ),
    Architecture(
        "realnvp",
        "Dinh, Sohl-Dickstein, Bengio 2017",
        "x₂ = z₂ s(z₁) + t(z₁)",
        "Σ log s, free",
        "closed form, one net",
        "local only: on a box, max(1, sup s) + sup|z₂|∞ Lip s + Lip t; inverse with 1/s and -t/s",
        "move both halves in one layer; separate modes without steep s or t",
    ),
    Architecture(
        "spline",
        "Durkan, Bekasov, Murray, Papamakarios 2019",
        "x₂ = affine, then rational-quadratic spline",
        "Σ log slope",
        "closed form (a quadratic), one net",
        "slopes of the spline, bounded by least bin and slope; else as RealNVP",
        "bend outside [-bound, bound], where it is affine",
    ),
    Architecture(
        "maf",
        "Papamakarios, Pavlakou, Murray 2017",
        "xᵢ = zᵢ s(x₁…xᵢ₋₁) + t(x₁…xᵢ₋₁)",
        "Σ log s, free",
        "density one net; sampling n steps that cost about one net together",
        "local only, as RealNVP",
        "sample in one parallel pass",
    ),
    Architecture(
        "iaf",
        "Kingma et al. 2016",
        "the inverse of MAF",
        "Σ log s, free",
        "sampling one net; density n steps",
        "local only, as RealNVP",
        "evaluate a density in one parallel pass",
    ),
    Architecture(
        "nsf",
        "Durkan, Bekasov, Murray, Papamakarios 2019",
        "xᵢ = affine, then rational-quadratic spline, of zᵢ by x₁…xᵢ₋₁",
        "Σ log slope",
        "density one net; sampling n steps that cost about one net together",
        "slopes of the spline, bounded by least bin and slope; else as RealNVP",
        "bend outside [-bound, bound], where it is affine",
    ),
    Architecture(
        "glow",
        "Kingma, Dhariwal 2018",
        "convolutional affine coupling, invertible 1×1 convolution, actnorm",
        "Σ log s + pixels × log|det W|",
        "closed form, one net and a c × c solve",
        "local only, as RealNVP, times those of W and of the actnorm",
        "see beyond a few pixels in one layer",
    ),
    Architecture(
        "single_coordinate",
        "Teshima et al. 2020",
        "x_i = z_i s(z without i) + t(z without i)",
        "log s, free",
        "closed form, one net",
        "local only, as RealNVP",
        "move more than one coordinate a layer: n layers are one sweep",
    ),
    Architecture(
        "planar",
        "Rezende, Mohamed 2015",
        "x = z + u tanh(w·z + b), w·u > -1",
        "log(1 + w·u tanh′), O(n)",
        "one scalar monotone equation, bracketed, O(n)",
        "all 1 but one pair; see `Planar`",
        "move more than one direction a layer",
    ),
    Architecture(
        "radial",
        "Rezende, Mohamed 2015",
        "x = z + β (z - z₀) / (α + |z - z₀|)",
        "closed form, O(n)",
        "closed form (a quadratic), O(n)",
        "1 + β/(α + r) and 1 + αβ/(α + r)²",
        "treat directions differently",
    ),
    Architecture(
        "sylvester",
        "van den Berg, Hasenclever, Tomczak, Welling 2018",
        "x = z + Q R tanh(R̃ Qᵀ z + b)",
        "m terms, O(n m)",
        "m scalar monotone equations one after another",
        "see `Sylvester`",
        "move more than m directions a layer",
    ),
    Architecture(
        "householder",
        "Tomczak, Welling 2016",
        "x = H₁ … H_k z, with an actnorm",
        "actnorm's only",
        "closed form, O(k n)",
        "those of the actnorm",
        "bend: the density is a Gaussian at any depth",
    ),
    Architecture(
        "residual",
        "Behrmann et al. 2019; Chen et al. 2019",
        "z = x + g(x), Lip g ≤ c < 1, certified",
        "exact (O(n³)), power series, or unbiased roulette",
        "fixed point, error ≤ c/(1-c) of the last step",
        "1 - c and 1 + c (data to latent)",
        "change scale by more than (1 + c) a layer",
    ),
    Architecture(
        "layerwise",
        "Koehler, Mehta, Risteski 2021, Theorem 4",
        "x = σ(A z + b), σ(A) in [low, high]",
        "Σ log σ′ + Σ log s",
        "closed form, O(n²)",
        "[low · least σ′, high · largest σ′], exact",
        "be expressive in few layers, with p = d(d + 2), or d(d + 1) with a fixed slope",
    ),
    Architecture(
        "ffjord",
        "Chen et al. 2018; Grathwohl et al. 2019",
        "dz/dt = v(z, t)",
        "∫ tr ∂v: n passes, or Hutchinson's estimate",
        "the same ODE backwards, same cost",
        "exp(± Lip v)",
        "cross trajectories; a fixed number of evaluations",
    ),
    Architecture(
        "anode",
        "Dupont, Doucet, Teh 2019",
        "FFJORD on the data and k more coordinates",
        "as FFJORD",
        "as FFJORD",
        "exp(± Lip v), of the joint map",
        "give the data's density exactly: a bound and an estimate",
    ),
    Architecture(
        "anf",
        "Huang, Dinh, Courville 2020",
        "couplings between data and k Gaussian coordinates",
        "Σ log s, free",
        "closed form, one net",
        "local only, as RealNVP, of the joint map",
        "give the data's density exactly: a bound and an estimate",
    ),
)
