#include "core/program.h"

#include <algorithm>

namespace heddle {

void Loop::run(Stream& stream) const {
  stream.set_abort_source(channel);
  const auto turn_ends = std::chrono::steady_clock::now() + kTurn;
  int64_t steps = 0;
  channel->looping = true;
  while (steps < max_steps && !channel->stopped() && !stream.stopping()) {
    program->run(stream);
    ++steps;
    if (std::chrono::steady_clock::now() > turn_ends) break;
  }
  channel->looping = false;
  stream.set_abort_source(nullptr);
  channel->tell([&](ChannelNews& news) {
    ++news.finished_loops;
    news.steps += steps;
  });
}

void Emit::run(Stream& stream) const {
  std::vector<int32_t> ids, ends;
  try {
    send(stream, ids, ends);
  } catch (const std::bad_alloc&) {
    stream.settle();  // what was to be copied here has come
    fail(stream, stream.out_of_memory(kName));
  }
}

void Emit::fail(Stream& stream, const std::shared_ptr<const Error>& error) const {
  stream.observe(error);
  channel->stop();
  channel->tell([&](ChannelNews& news) { news.error = error; });
}

void Emit::send(Stream& stream, std::vector<int32_t>& ids, std::vector<int32_t>& ends) const {
  const auto copy = [&](const Tensor* tensor, std::vector<int32_t>& values) {
    values.resize(static_cast<size_t>(tensor->numel()));
    if (tensor->storage->data) stream.copy_out(values.data(), tensor->data<int32_t>(), values.size() * sizeof(int32_t));
  };
  copy(tokens, ids);
  copy(finished, ends);
  stream.settle();
  for (const Tensor* tensor : reads()) {
    auto poison = stream.error_of(*tensor->storage);
    if (!poison && !tensor->storage->data) {
      poison = std::make_shared<Error>(ErrorKind::kRuntime, "NO_VALUE", "[emit] the tokens have no value yet");
    }
    if (poison) return fail(stream, poison);
  }
  const auto add = [&](ChannelNews& news) {
    news.tokens.insert(news.tokens.end(), ids.begin(), ids.end());
    news.done = std::all_of(ends.begin(), ends.end(), [](int32_t end) { return end != 0; });
  };
  channel->tell(add, channel->looping);
}

}  // namespace heddle
