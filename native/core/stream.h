#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <thread>
#include <type_traits>
#include <vector>

#include "core/backend.h"
#include "core/dispatch.h"
#include "core/tensor.h"
#include "core/waiter.h"

namespace heddle {

class Channel;
class Graph;
class Stream;

/// One entry of a queue or a program: a trivially copyable command and the function that runs it.
struct Record {
  static constexpr size_t kPayloadBytes = 232;

  void (*run)(const void* payload, Stream& stream) = nullptr;
  bool cleanup = false;  // gives something back: runs even when the stream is stopping
  alignas(8) std::byte payload[kPayloadBytes];

  /// A command has `void run(Stream&) const`.
  template <typename Command>
  static Record of(const Command& command, bool cleanup = false) {
    static_assert(std::is_trivially_copyable_v<Command> && sizeof(Command) <= kPayloadBytes);
    Record record;
    record.run = [](const void* payload, Stream& stream) { static_cast<const Command*>(payload)->run(stream); };
    record.cleanup = cleanup;
    new (record.payload) Command(command);
    return record;
  }
};

/// An ordered queue of work on one device: pushed by one JavaScript thread, run by one native thread.
///
/// An op is a plain struct with `kName`, `reads()` and `writes()` (arrays of tensors, null where absent; a tensor in
/// both is updated in place). Memory of what it writes is taken when it runs. An op that fails poisons what it
/// writes; an op that reads poison does not run and passes it on.
///
/// On a device that runs behind, an op may turn out to have failed when others that read its result were launched
/// already. So those launched are remembered until the device is waited for, and what became of them is settled then,
/// in order. In between no storage's poison changes.
class Stream {
 public:
  /// Ops that a device may run behind.
  static constexpr size_t kMaxLaunched = 2048;

  /// Records that wait in the queue are bounded by the caller: see Runtime::submit.
  explicit Stream(std::unique_ptr<Backend> backend);
  /// Stops the thread. What is queued is dropped, but for records that give something back.
  ~Stream();
  /// What is queued is dropped from here on.
  void stop();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // ---- JavaScript thread
  void push(const Record& record);
  size_t pending() const { return pushed_.load(std::memory_order_relaxed) - finished_.load(std::memory_order_acquire); }
  /// The same without what only gives something back: the garbage collector may free thousands of tensors at once.
  size_t pending_work() const { return pushed_work_ - finished_work_.load(std::memory_order_acquire); }
  /// Nothing runs and nothing waits: the JavaScript thread may look at memory itself.
  bool idle() const { return pending() == 0; }
  Device device() const { return backend_->device(); }
  /// Whether the JavaScript thread may fill and read the device's memory itself.
  bool on_host() const { return device().kind == DeviceKind::kCpu; }
  Allocator& allocator() { return backend_->allocator(); }
  /// Bytes of the tensors on this device, in program order.
  struct Account {
    size_t live = 0;
    size_t disposed = 0;  // in all; freed_bytes() says how much of that is done
    size_t limit = SIZE_MAX;
  } account;
  void set_profiling(bool on) { profiling_.store(on, std::memory_order_relaxed); }
  /// Bytes of storages that have ended, in all.
  size_t freed_bytes() const { return freed_bytes_.load(std::memory_order_relaxed); }
  /// Steps of programs that were one launch each: see Graph.
  int64_t graph_steps() const { return graph_steps_.load(std::memory_order_relaxed); }
  /// Nanoseconds spent in kernels while profiling.
  int64_t kernel_ns() const { return kernel_ns_.load(std::memory_order_relaxed); }

  // ---- stream thread (or the JavaScript thread while idle)
  template <typename Op>
  void run(const Op& op) {
    if (capture_) return capture(op);
    const bool launched = attempt(op, [&] {
      const Stopwatch stopwatch(*this);
      dispatch(*backend_, op);
    });
    if (!launched || !backend_->runs_behind()) return;
    remember_op(launched_, op);
    if (launched_.size() == kMaxLaunched) settle();
  }

  /// Calls body() for an op whose inputs have values and whose outputs have memory. What it throws becomes poison.
  /// False if it did not run through.
  template <typename Op, typename Body>
  bool attempt(const Op& op, const Body& body) {
    const auto reads = op.reads();
    const auto writes = op.writes();
    if (first_poison(reads.data(), reads.size())) {
      settle();
      spread(first_poison(reads.data(), reads.size()), writes.data(), writes.size());
      return false;
    }
    try {
      prepare(writes.data(), writes.size(), reads.data(), reads.size());
      body();
      return true;
    } catch (const Error& error) {
      fail(share(error), writes.data(), writes.size());
    } catch (const std::bad_alloc&) {
      fail(out_of_memory(Op::kName), writes.data(), writes.size());
    }
    return false;
  }

  /// What an op writes has no value because of an error on another stream.
  template <typename Op>
  void pass_on(const std::shared_ptr<const Error>& error, const Op& op) {
    settle();
    spread(error, op.writes().data(), op.writes().size());
    remember(error);
  }

  /// Waits for the device and settles what became of the ops launched.
  void settle();
  /// Why a storage has no value; null if it has one, or will have.
  std::shared_ptr<const Error> error_of(const Storage& storage) const { return lost_ ? lost_ : storage.poison; }
  /// Host memory to a storage's; `from` may go when this returns.
  void copy_in(void* to, const void* from, size_t bytes) { backend_->copy_in(to, from, bytes); }
  /// To host memory, once settled; not if the device is lost: see error_of.
  void copy_out(void* to, const void* from, size_t bytes);

  /// Gives the memory of a storage back; it may be taken again.
  void drop(Storage& storage);
  /// The end of a tensor and, unless null, of its storage: not before the ops that were launched with them are settled.
  void bury(std::unique_ptr<Tensor> tensor, std::unique_ptr<Storage> storage);
  void count_freed(size_t bytes) { freed_bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  /// Ops between run only while `channel` is not aborted; null ends that.
  void set_abort_source(Channel* channel) { abort_source_ = channel; }
  /// Int32 numbers [count] that a program emits: true where it is captured, and the graph posts them.
  bool post(const Tensor& numbers);
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

  /// The oldest failure that no read has reported, or null; forgets the others too.
  std::shared_ptr<const Error> take_unobserved();
  /// What a thread that ran out of memory in `function` tells: it needs none.
  std::shared_ptr<const Error> out_of_memory(const char* function) const noexcept;
  /// A failure for all that it concerns.
  std::shared_ptr<const Error> share(const Error& error) const noexcept;
  /// Somebody is told of this failure.
  void observe(const std::shared_ptr<const Error>& error);

 private:
  friend class Graph;
  static constexpr size_t kMaxUnobserved = 16;
  static constexpr size_t kBlockRecords = 128;
  struct Block {
    Record records[kBlockRecords];
    Block* next = nullptr;
  };

  class Stopwatch {
   public:
    explicit Stopwatch(Stream& stream) : stream_(stream), on_(stream.profiling_.load(std::memory_order_relaxed)) {
      if (on_) began_ = std::chrono::steady_clock::now();
    }
    ~Stopwatch() {
      if (!on_) return;
      const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - began_;
      stream_.kernel_ns_.fetch_add(took.count(), std::memory_order_relaxed);
    }

   private:
    Stream& stream_;
    bool on_;
    std::chrono::steady_clock::time_point began_;
  };

  /// An op that was launched: what to do when the device has caught up.
  struct Launched {
    void (*conclude)(Stream& stream, const void* op, uint64_t outcome);  // any outcome if the device is lost
    alignas(8) std::byte op[Record::kPayloadBytes];
  };

  template <typename Op>
  static void conclude(Stream& stream, const void* payload, uint64_t outcome) {
    const Op& op = *static_cast<const Op*>(payload);
    const auto reads = op.reads();
    const auto writes = op.writes();
    const auto poison = stream.lost_ ? stream.lost_ : first_poison(reads.data(), reads.size());
    if (poison) return spread(poison, writes.data(), writes.size());
    if (outcome == Backend::kNoFailure) return forget_poison(writes.data(), writes.size(), reads.data(), reads.size());
    try {
      fail_late(op, outcome);
    } catch (const Error& error) {
      stream.poison(stream.share(error), writes.data(), writes.size());
    } catch (const std::bad_alloc&) {
      stream.poison(stream.out_of_memory(Op::kName), writes.data(), writes.size());
    }
  }

  template <typename Op>
  static void remember_op(std::vector<Launched>& ops, const Op& op) {
    new (ops.emplace_back(Launched{&conclude<Op>, {}}).op) Op(op);
  }

  /// What becomes a graph instead of running.
  struct Capture {
    std::vector<Launched> ops;
    std::vector<GraphDevice::Part> parts;  // of what is emitted
    bool is_whole = true;
  };

  /// What cannot be captured says why when it runs.
  template <typename Op>
  void capture(const Op& op) {
    if (!capture_->is_whole || capture_->ops.size() == kMaxLaunched) return void(capture_->is_whole = false);
    try {
      for (Tensor* written : op.writes()) {
        if (written) give_memory(*written->storage);
      }
      dispatch(*backend_, op);
      remember_op(capture_->ops, op);
    } catch (const std::exception&) {
      capture_->is_whole = false;
    }
  }

  void work(Block* head);
  void run(const Record& record);
  void give_memory(Storage& storage) {
    if (!storage.data) storage.data = backend_->memory().allocate(storage.bytes);
  }
  static std::shared_ptr<const Error> first_poison(const Tensor* const* reads, size_t count);
  static void spread(const std::shared_ptr<const Error>& poison, Tensor* const* writes, size_t count);
  void fail(const std::shared_ptr<const Error>& error, Tensor* const* writes, size_t count);
  void remember(const std::shared_ptr<const Error>& error);
  void lose(const std::shared_ptr<const Error>& error);
  void poison(const std::shared_ptr<const Error>& error, Tensor* const* writes, size_t count);
  static void forget_poison(Tensor* const* writes, size_t num_writes, const Tensor* const* reads, size_t num_reads);
  void prepare(Tensor* const* writes, size_t num_writes, const Tensor* const* reads, size_t num_reads);

  const std::unique_ptr<Backend> backend_;
  std::atomic<bool> profiling_{false};
  std::atomic<int64_t> kernel_ns_{0};
  std::atomic<int64_t> graph_steps_{0};
  std::atomic<size_t> freed_bytes_{0};

  Block* tail_;  // pushed to
  std::atomic<size_t> pushed_{0};
  std::atomic<size_t> finished_{0};
  size_t pushed_work_ = 0;  // JavaScript thread
  std::atomic<size_t> finished_work_{0};
  std::atomic<bool> stopping_{false};
  Waiter waiter_;

  Channel* abort_source_ = nullptr;
  Capture* capture_ = nullptr;
  const std::shared_ptr<const Error> out_of_memory_;      // for when there is none to say so
  std::vector<std::shared_ptr<const Error>> unobserved_;  // oldest first
  std::shared_ptr<const Error> lost_;                     // why the device is no more
  std::vector<Launched> launched_;                        // not settled yet, in order
  std::vector<std::pair<std::unique_ptr<Tensor>, std::unique_ptr<Storage>>> buried_;

  std::thread thread_;  // starts when all else is ready
};

/// Command: the end of an object, once what was queued before has used it.
template <typename T>
struct Delete {
  T* object;
  void run(Stream&) const { delete object; }
};

template <typename Op, typename = void>
struct RunsItself : std::false_type {};
template <typename Op>
struct RunsItself<Op, std::void_t<decltype(std::declval<const Op&>().run(std::declval<Stream&>()))>> : std::true_type {
};

/// Runs an op as a command: by the kernel of its device, unless it knows itself how.
template <typename Op>
struct RunOp {
  Op op;
  void run(Stream& stream) const {
    if constexpr (RunsItself<Op>::value) {
      op.run(stream);
    } else {
      stream.run(op);
    }
  }
};

}  // namespace heddle
