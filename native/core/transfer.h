#pragma once

#include <array>
#include <atomic>
#include <vector>

#include "core/stream.h"

namespace heddle {

/// Op: values of JavaScript's, copied, on their way to a device.
struct Upload {
  static constexpr const char* kName = "tensor";
  Tensor* out;
  std::byte* values;  // owned

  std::array<const Tensor*, 0> reads() const { return {}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
  void run(Stream& stream) const;
};

/// A tensor's value between two streams, in host memory. The two ends hold it; the last to let go ends it.
struct Parcel {
  std::vector<std::byte> bytes;
  std::shared_ptr<const Error> error;  // why there is no value
  std::atomic<bool> there{false};
  Waiter arrival;
  std::atomic<int> holders{2};

  void let_go() {
    if (holders.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
};

/// Command of the first stream. It always runs, since the other waits for it.
struct Send {
  const Tensor* x;  // dense or in panels
  Parcel* parcel;
  void run(Stream& stream) const;
};

/// Op of the second. A stream never waits for one that waits for it: what is sent was queued before it is received.
struct Receive {
  static constexpr const char* kName = "to";
  Parcel* parcel;
  Tensor* out;

  std::array<const Tensor*, 0> reads() const { return {}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
  void run(Stream& stream) const;
};

}  // namespace heddle
