"""Integer graph -> C++ project -> compile -> simulate."""

from hls_export.dataflow.plan import Fifo, Plan
from hls_export.design import Design, compile
from hls_export.index import ExistsError, ExportError
from hls_export.project import write

__all__ = ['Design', 'ExistsError', 'ExportError', 'Fifo', 'Plan', 'compile', 'write']
