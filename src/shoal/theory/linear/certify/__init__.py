"""Rigorous bounds on computed factorizations, in ball arithmetic; nothing here is shared with what computes them."""

from shoal.theory.linear.certify._certificate import FactorizationCertificate, certify
