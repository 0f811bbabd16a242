"""Integer graph -> C++ project -> compile -> simulate."""

from hls_export.design import Design, compile
from hls_export.plan import Fifo, Plan
from hls_export.project import ExportError, write

__all__ = ['Design', 'ExportError', 'Fifo', 'Plan', 'compile', 'write']
