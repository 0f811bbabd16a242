// Stands in for AMD's header where the Verilog is simulated: tailor_top.h names streams and uses none.
#pragma once

#include "record.h"

namespace hls {
template <class T> class stream;
}
