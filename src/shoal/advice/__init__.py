"""The adviser: what a table asks of a flow, in sentences that say what they rest on."""

from shoal.advice._advice import Advice as Advice
from shoal.advice._advice import advise as advise
from shoal.advice._lines import Line
