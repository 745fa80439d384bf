#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/error.h"

namespace heddle {

class Stream;

/// What a native decoding loop tells JavaScript since the last look.
struct ChannelNews {
  std::vector<int32_t> tokens;  // rows of one step each
  int64_t finished_loops = 0;   // Loop commands that ended
  int64_t steps = 0;            // steps those loops ran
  bool done = false;            // every row has met its end token
  std::shared_ptr<const Error> error;
};

/// Carries tokens from a stream to JavaScript, and the wish to end back.
class Channel {
 public:
  /// For work on one device. `wake` is called from the stream when there is news and JavaScript has seen all earlier
  /// news.
  Channel(Stream& stream, std::function<void()> wake) : stream(stream), wake_(std::move(wake)) {}

  Stream& stream;

  // ---- JavaScript thread
  int owners = 1;  // the handle, and each program that emits to it
  ChannelNews take() {
    std::lock_guard<std::mutex> lock(mutex_);
    told_ = false;
    const bool done = news_.done;
    ChannelNews news = std::exchange(news_, ChannelNews{});
    news_.done = done;
    return news;
  }
  /// Loops end before their next step; tokens already computed still arrive.
  void stop() { stopped_.store(true, std::memory_order_relaxed); }
  /// Ops bracketed by this channel no longer run: their outputs are poisoned with ABORTED.
  void abort() {
    aborted_.store(true, std::memory_order_relaxed);
    stop();
  }

  // ---- stream
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
  bool aborted() const { return aborted_.load(std::memory_order_relaxed); }
  /// News from within a loop wakes JavaScript every 4 ms at most: waking costs it up to 0.1 ms, and a small model makes
  /// twenty tokens in that time. The loop's end, which is news too, brings the rest.
  template <typename Change>
  void tell(const Change& change, bool within_loop = false) {
    const auto now = std::chrono::steady_clock::now();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      change(news_);
      if (news_.done) stop();
      if (told_ || (within_loop && now - woken_ < std::chrono::milliseconds(4))) return;
      told_ = true;
      woken_ = now;
    }
    wake_();
  }
  /// Set while a loop runs that will tell of its end.
  bool looping = false;

 private:
  std::mutex mutex_;
  ChannelNews news_;
  bool told_ = false;
  std::chrono::steady_clock::time_point woken_{};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> aborted_{false};
  std::function<void()> wake_;
};

}  // namespace heddle
