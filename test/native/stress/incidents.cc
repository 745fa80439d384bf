#include "ops/op_list.h"
#include "stress/life.h"
#include "weights/load_weight.h"

namespace heddle::stress {
namespace {

using Handle = Runtime::Handle;

/// What is left behind, with a name or without.
void leaves(Life& life) {
  Tensor* const x = life.floats(Shape{1 + life.pick(40), 1 + life.pick(300)});
  const Handle kept = life.runtime.publish(softmax(life.runtime, {x, life.chance()}, -1));
  if (life.chance()) life.runtime.dispose(kept);
}

void fails(Life& life) {
  Tensor* const table = life.floats(Shape{4, 8});
  Tensor* const bad = embedding(life.runtime, {table, life.ints({1, 9, 2})});
  Tensor* const sum = binary(life.runtime, "stress", {bad, bad, BinaryKind::kAdd});
  if (life.values({sum})[0]) fail("what failed has a value");
}

void loads(Life& life) {
  const LoadWeight op{&life.weights, 0, DType::kFloat32, life.chance(), 96, 64};
  const DType dtype = life.float_dtype();
  Tensor* const weight = load_panels(life.runtime, life.runtime.cpu(), op, dtype);
  linear(life.runtime, {life.floats(Shape{3, weight->shape[1]}, dtype), weight, nullptr, nullptr, Activation::kNone});
  life.runtime.publish(weight);
  if (life.chance()) life.drain();
}

void loops(Life& life) {
  Runtime& runtime = life.runtime;
  std::atomic<int> woken{0};
  const Handle channel_handle = runtime.open_channel(runtime.cpu(), [&woken] { woken.fetch_add(1); });
  Channel* const channel = runtime.find_channel(channel_handle);
  const Handle tokens = runtime.publish(life.ints({0, 0}));
  const Handle finished = runtime.publish(life.ints({0, 0}));
  const Handle one = runtime.publish(life.ints({0, 1, 2}));
  runtime.begin_recording();
  advance_lengths(runtime, {runtime.find(one), runtime.find(tokens)});
  runtime.submit(Emit{runtime.find(tokens), runtime.find(finished), channel});
  const Handle program = runtime.end_recording();
  runtime.cpu().push(Record::of(Loop{runtime.find_program(program), channel, 50}));
  if (life.pick(3) == 0) channel->abort();
  life.drain();
  const ChannelNews news = channel->take();
  for (size_t i = 0; i < news.tokens.size(); ++i) {
    if (news.tokens[i] != static_cast<int32_t>(i / 2 + 1)) fail("a loop counts wrongly");
  }
  runtime.dispose_program(program);
  runtime.dispose_channel(channel_handle);
  life.drain();  // `woken` ends here
}

/// A program that draws, replayed: its step counts on.
void replays(Life& life) {
  Runtime& runtime = life.runtime;
  const Handle seed = runtime.publish(life.ints(Shape{2}, 1000));
  const Handle step = runtime.publish(life.ints({0}));
  const Handle one = runtime.publish(life.ints({0, 1}));
  runtime.begin_recording();
  Tensor* const drawn = random(runtime, {runtime.find(seed), runtime.find(step), Distribution::kUniform, 0.0f, 1.0f},
                               DType::kFloat32, Shape{1000});
  const Handle kept = runtime.publish(drawn);
  advance_lengths(runtime, {runtime.find(one), runtime.find(step)});
  const Handle program = runtime.end_recording();
  Value before;
  for (int i = 0; i < 3; ++i) {
    runtime.cpu().push(Record::of(RunProgram{runtime.find_program(program)}));
    const Value now = life.values({runtime.find(kept)})[0];
    if (now && now == before) fail("two replays drew the same");
    before = now;
  }
  runtime.dispose_program(program);
}

}  // namespace

const std::vector<Incident> kIncidents = {leaves, fails, loads, loops, replays};

}  // namespace heddle::stress
