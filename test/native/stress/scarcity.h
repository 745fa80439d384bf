#pragma once

namespace heddle::stress {

/// From now on one in `one_in` allocations fails; 0: none.
void make_scarce(int one_in);
/// Whether any may fail.
bool scarce();
/// But not those of this thread.
void spare_this_thread();

}  // namespace heddle::stress
