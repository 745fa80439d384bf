#pragma once

namespace heddle {

/// Called by a thread that computes for long: asks the scheduler for long time slices, so that a thread of shorter
/// ones (the event loop) that wakes up is let in at once instead of at the slice's end. Shares of the processor stay.
/// A hint: systems without it ignore it.
void ask_for_long_slices();

}  // namespace heddle
