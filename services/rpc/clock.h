// The real clock of a process, as a value that is handed to whoever needs the time.
//
// Cores never see it: a strand reads it once a batch. A simulator hands in a clock of its own.
#pragma once

#include <functional>

#include "absl/time/time.h"

namespace tessera::rpc {

// Returns the present time. Must be callable from any thread.
using Clock = std::function<absl::Time()>;

// The time of day when the clock was made plus what the monotonic clock has counted since: it never
// goes back and never jumps, so leases and time-outs survive an operator who sets the date.
Clock MonotonicClock();

// The same, and it goes on while the machine sleeps: for what others promise or take by their own
// clocks, as leases.
Clock BootTimeClock();

}  // namespace tessera::rpc
