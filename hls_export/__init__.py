"""Integer graph -> C++ project -> compile -> simulate."""

from hls_export.design import Design, compile
from hls_export.index import ExistsError, ExportError
from hls_export.project import write
from tailor_jax.dataflow.plan import Fifo, Plan

__all__ = ['Design', 'ExistsError', 'ExportError', 'Fifo', 'Plan', 'compile', 'write']
