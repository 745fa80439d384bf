#include "core/program.h"

#include <algorithm>
#include <cstring>

namespace heddle {

void Loop::run(Stream& stream) const {
  stream.set_abort_source(channel);
  const auto turn_ends = std::chrono::steady_clock::now() + kTurn;
  int64_t steps = 0;
  channel->looping = true;
  Graph* const graph = Graph::of(stream, *program);
  while (steps < max_steps && !channel->stopped() && !stream.stopping()) {
    graph ? graph->step(max_steps - steps) : program->run(stream);
    ++steps;
    if (std::chrono::steady_clock::now() > turn_ends) break;
  }
  if (graph) graph->finish();
  channel->looping = false;
  stream.set_abort_source(nullptr);
  channel->tell([&](ChannelNews& news) {
    ++news.finished_loops;
    news.steps += steps;
  });
}

template <typename Read>
bool Emit::send(Stream& stream, const Read& read) const {
  std::vector<int32_t> ids, ends;
  try {
    ids.resize(static_cast<size_t>(tokens->numel()));
    ends.resize(static_cast<size_t>(finished->numel()));
    read(ids, ends);
    for (const Tensor* tensor : reads()) {
      const auto poison = stream.error_of(*tensor->storage);
      if (!poison) continue;
      fail(stream, poison);
      return true;
    }
    const bool done = std::all_of(ends.begin(), ends.end(), [](int32_t end) { return end != 0; });
    channel->tell(
        [&](ChannelNews& news) {
          news.tokens.insert(news.tokens.end(), ids.begin(), ids.end());
          news.done = done;
        },
        channel->looping);
    return done;
  } catch (const Error& error) {
    fail(stream, stream.share(error));
  } catch (const std::bad_alloc&) {
    stream.settle();  // what was to be copied here has come
    fail(stream, stream.out_of_memory(kName));
  }
  return true;
}

void Emit::run(Stream& stream) const {
  if (stream.post(*tokens) && stream.post(*finished)) return;
  send(stream, [&](std::vector<int32_t>& ids, std::vector<int32_t>& ends) {
    const auto copy = [&](const Tensor* from, std::vector<int32_t>& to) {
      if (from->storage->data) stream.copy_out(to.data(), from->data<int32_t>(), to.size() * sizeof(int32_t));
      return from->storage->data != nullptr;
    };
    const bool has_tokens = copy(tokens, ids), has_values = copy(finished, ends) && has_tokens;
    stream.settle();
    if (has_values || stream.error_of(*tokens->storage) || stream.error_of(*finished->storage)) return;
    throw Error(ErrorKind::kRuntime, "NO_VALUE", "[emit] the tokens have no value yet");
  });
}

bool Emit::send_posted(Stream& stream, const char* posted) const {
  return send(stream, [&](std::vector<int32_t>& ids, std::vector<int32_t>& ends) {
    const size_t bytes = ids.size() * sizeof(int32_t);
    std::memcpy(ids.data(), posted, bytes);
    std::memcpy(ends.data(), posted + bytes, ends.size() * sizeof(int32_t));
  });
}

void Emit::drop_posted(Stream& stream) const {
  for (const Tensor* tensor : reads()) {
    if (const auto poison = stream.error_of(*tensor->storage)) stream.observe(poison);
  }
}

void Emit::fail(Stream& stream, const std::shared_ptr<const Error>& error) const {
  stream.observe(error);
  channel->stop();
  channel->tell([&](ChannelNews& news) {
    if (!news.error) news.error = error;
  });
}

}  // namespace heddle
