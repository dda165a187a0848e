"""Flows as scikit-learn estimators. Needs the extra `shoal[sklearn]`; nothing else of Shoal imports it."""

from shoal.estimators._density import FlowDensity as FlowDensity
