// The native side without Node, for sanitizers: several threads, each with a runtime of its own as an isolate has,
// queue random work on random data, share weights and the thread pool, abort, fail, and end with work queued.
//
//   stress [seconds] [threads] [seed]

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/program.h"
#include "core/runtime.h"
#include "ops/op_list.h"
#include "weights/load_weight.h"

namespace heddle {
namespace {

using Clock = std::chrono::steady_clock;
using Handle = Runtime::Handle;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "stress: %s\n", what.c_str());
  std::abort();
}

/// Command: what was queued before has run.
struct Signal {
  std::atomic<bool>* done;
  void run(Stream&) const { done->store(true, std::memory_order_release); }
};

/// Command: copies a tensor's floats out; none if it has no value.
struct Look {
  const Tensor* tensor;
  std::vector<float>* into;
  void run(Stream& stream) const {
    if (stream.error_of(*tensor->storage) || !tensor->storage->data) return;
    into->assign(tensor->data<float>(), tensor->data<float>() + tensor->numel());
  }
};

/// What one isolate does.
class Life {
 public:
  Life(uint32_t seed, const File& weights) : random_(seed), weights_(weights) {}

  void run(Clock::time_point until) {
    while (Clock::now() < until) {
      Runtime runtime;
      const int rounds = 1 + pick(40);
      for (int i = 0; i < rounds && Clock::now() < until; ++i) round(runtime);
      // It ends as it is: with work queued, tensors alive, a recording open.
      if (pick(3) == 0) runtime.begin_recording();
    }
  }

 private:
  int pick(int count) { return static_cast<int>(random_() % static_cast<uint32_t>(count)); }

  Tensor* floats(Runtime& runtime, const Shape& shape) {
    std::vector<float> values(static_cast<size_t>(shape.numel()));
    for (float& value : values) value = static_cast<float>(random_() % 1000) / 500.0f - 1.0f;
    return runtime.make_filled(runtime.cpu(), DType::kFloat32, shape, values.data());
  }
  Tensor* ints(Runtime& runtime, const std::vector<int32_t>& values) {
    return runtime.make_filled(runtime.cpu(), DType::kInt32, Shape{static_cast<int64_t>(values.size())}, values.data());
  }

  void drain(Runtime& runtime) {
    std::atomic<bool> done{false};
    runtime.cpu().push(Record::of(Signal{&done}, true));
    while (!done.load(std::memory_order_acquire)) std::this_thread::yield();
  }

  void round(Runtime& runtime) {
    try {
      switch (pick(7)) {
        case 0:
          sums(runtime);
          break;
        case 1:
          products(runtime);
          break;
        case 2:
          attends(runtime);
          break;
        case 3:
          fails(runtime);
          break;
        case 4:
          loads(runtime);
          break;
        case 5:
          loops(runtime);
          break;
        default:
          casts(runtime);
      }
    } catch (const Error& error) {
      if (error.code() != "QUEUE_FULL") fail(error.what());
      drain(runtime);
    }
    runtime.settle();
    if (pick(8) == 0) ThreadPool::instance().set_num_threads(1 + pick(4));
    if (pick(20) == 0) runtime.cpu().allocator().trim();
  }

  void sums(Runtime& runtime) {
    const Shape shape{1 + pick(50), 1 + pick(300)};
    Tensor* const a = floats(runtime, shape);
    Tensor* const b = add(runtime, {a, a});
    std::vector<float> first, second;
    runtime.cpu().push(Record::of(Look{a, &first}, true));
    runtime.cpu().push(Record::of(Look{b, &second}, true));
    drain(runtime);
    for (size_t i = 0; i < first.size(); ++i) {
      if (second[i] != 2 * first[i]) fail("a sum is wrong");
    }
  }

  void products(Runtime& runtime) {
    const int64_t rows = 1 + pick(70), inner = 1 + pick(130), outer = 1 + pick(200);
    Tensor* const x = floats(runtime, Shape{rows, inner});
    const Tensor* weight = floats(runtime, Shape{outer, inner});
    if (pick(2) == 0) weight = pack(runtime, {weight});
    Tensor* const y = linear(runtime, {x, weight, floats(runtime, Shape{outer}), nullptr, Activation::kGelu});
    const Handle kept = runtime.publish(layer_norm(runtime, {y, nullptr, nullptr, nullptr, 1e-5f}).out);
    if (pick(2) == 0) runtime.dispose(kept);
  }

  void attends(Runtime& runtime) {
    const int64_t batch = 1 + pick(3), keys = 1 + pick(150), queries = 1 + pick(static_cast<int>(keys));
    Tensor* const q = floats(runtime, Shape{batch, 4, queries, 16});
    Tensor* const k = floats(runtime, Shape{batch, 2, keys, 16});
    Tensor* const v = floats(runtime, Shape{batch, 2, keys, 24});
    const auto result = attention(runtime, DenseAttention{q, k, v, 0.25f, pick(2) == 0, {}}, pick(2) == 0);
    std::vector<float> values;
    runtime.cpu().push(Record::of(Look{result.out, &values}, true));
    drain(runtime);
    for (const float value : values) {
      if (!(std::fabs(value) <= 1.001f)) fail("attention left the range of its values");
    }
  }

  void fails(Runtime& runtime) {
    Tensor* const table = floats(runtime, Shape{4, 8});
    Tensor* const bad = embedding(runtime, {table, ints(runtime, {1, 9, 2})});
    std::vector<float> values;
    runtime.cpu().push(Record::of(Look{add(runtime, {bad, bad}), &values}, true));
    drain(runtime);
    if (!values.empty()) fail("what failed has a value");
  }

  void loads(Runtime& runtime) {
    LoadWeight op{&weights_, 0, DType::kFloat32, pick(2) == 0, 96, 64};
    const DType dtype = pick(2) == 0 ? DType::kFloat32 : DType::kBFloat16;
    Tensor* const weight = load_panels(runtime, runtime.cpu(), op, dtype);
    if (dtype == DType::kFloat32) {
      linear(runtime, {floats(runtime, Shape{3, weight->shape[1]}), weight, nullptr, nullptr, Activation::kNone});
    }
    runtime.publish(weight);
    if (pick(2) == 0) drain(runtime);
  }

  void loops(Runtime& runtime) {
    std::atomic<int> woken{0};
    const Handle channel_handle = runtime.open_channel(runtime.cpu(), [&woken] { woken.fetch_add(1); });
    Channel* const channel = runtime.find_channel(channel_handle);
    const Handle tokens = runtime.publish(ints(runtime, {0, 0}));
    const Handle finished = runtime.publish(ints(runtime, {0, 0}));
    const Handle one = runtime.publish(ints(runtime, {0, 1, 2}));
    runtime.begin_recording();
    advance_lengths(runtime, {runtime.find(one), runtime.find(tokens)});
    runtime.submit(Emit{runtime.find(tokens), runtime.find(finished), channel});
    const Handle program = runtime.end_recording();
    runtime.cpu().push(Record::of(Loop{runtime.find_program(program), channel, 50}));
    if (pick(3) == 0) channel->abort();
    drain(runtime);
    const ChannelNews news = channel->take();
    for (size_t i = 0; i < news.tokens.size(); ++i) {
      if (news.tokens[i] != static_cast<int32_t>(i / 2 + 1)) fail("a loop counts wrongly");
    }
    runtime.dispose_program(program);
    runtime.dispose_channel(channel_handle);
    drain(runtime);  // `woken` ends here
  }

  void casts(Runtime& runtime) {
    Tensor* const x = floats(runtime, Shape{1 + pick(40), 32});
    const DType half = pick(2) == 0 ? DType::kFloat16 : DType::kBFloat16;
    Tensor* const narrow = cast(runtime, {x}, half);
    runtime.publish(softmax(runtime, {cast(runtime, {narrow}, DType::kFloat32), pick(2) == 0}));
  }

  std::mt19937 random_;
  const File& weights_;
};

int run(double seconds, int threads, uint32_t seed) {
  char path[] = "/tmp/heddle-stress-XXXXXX";
  const int descriptor = mkstemp(path);
  if (descriptor < 0) fail("no temporary file");
  std::FILE* const file = fdopen(descriptor, "wb");
  for (int i = 0; i < 96 * 64; ++i) {
    const float value = static_cast<float>(i % 17);
    std::fwrite(&value, sizeof value, 1, file);
  }
  std::fclose(file);
  {
    const File weights(path);
    const auto until =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    std::vector<std::thread> lives;
    for (int i = 0; i < threads; ++i) {
      lives.emplace_back([&, i] { Life(seed + static_cast<uint32_t>(i), weights).run(until); });
    }
    for (std::thread& life : lives) life.join();
  }
  std::remove(path);
  std::puts("stress: done");
  return 0;
}

}  // namespace
}  // namespace heddle

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 10;
  const int threads = argc > 2 ? std::atoi(argv[2]) : 4;
  return heddle::run(seconds, threads, argc > 3 ? static_cast<uint32_t>(std::atoi(argv[3])) : 1);
}
