#pragma once

#include <vector>

#include "core/channel.h"
#include "core/graph.h"
#include "core/stream.h"

namespace heddle {

/// Op: sends the int32 tokens [N] of a step, or what else it tells of itself, to the channel, and whether all
/// `finished` [B] are set.
/// It runs inside the stream rather than on a device.
struct Emit {
  static constexpr const char* kName = "emit";
  const Tensor* tokens;
  const Tensor* finished;
  Channel* channel;

  std::array<const Tensor*, 2> reads() const { return {tokens, finished}; }
  std::array<Tensor*, 0> writes() const { return {}; }
  /// Bytes that it sends.
  size_t bytes() const { return static_cast<size_t>(tokens->numel() + finished->numel()) * sizeof(int32_t); }
  void run(Stream& stream) const;
  /// Sends what a graph posted, or else why there is nothing. Whether that was the last.
  bool send_posted(Stream& stream, const char* posted) const;
  /// Instead, where a step began behind the last.
  void drop_posted(Stream& stream) const;

 private:
  template <typename Read>
  bool send(Stream& stream, const Read& read) const;
  void fail(Stream& stream, const std::shared_ptr<const Error>& error) const;
};

/// A recorded list of ops, replayed by one call. Its tensors keep their place: a replay reads its inputs as they are
/// then and overwrites its outputs.
struct Program {
  std::vector<Record> records;
  std::vector<Emit> emits;         // those among the records
  bool emits_last = true;          // no op comes behind one
  std::vector<Tensor*> tensors;    // each owned once
  std::vector<Channel*> channels;  // each owned once
  Stream* stream = nullptr;        // of its ops; null if it has none
  std::unique_ptr<Graph> graph;    // the stream's: of loops on a device that has graphs

  void run(Stream& stream) const {
    for (const Record& record : records) record.run(record.payload, stream);
  }
};

/// Command: replays a program once.
struct RunProgram {
  const Program* program;
  void run(Stream& stream) const { program->run(stream); }
};

/// Command of a program: gives back the memory of an intermediate that nothing later reads.
struct DropMemory {
  Storage* storage;
  void run(Stream& stream) const { stream.drop(*storage); }
};

/// Command: replays a program up to `max_steps` times, or until the channel stops or about 10 ms have passed (other
/// work on the stream gets its turn), and tells the channel.
struct Loop {
  static constexpr std::chrono::milliseconds kTurn{10};

  Program* program;
  Channel* channel;
  int64_t max_steps;

  void run(Stream& stream) const;
};

/// Command: ops after it run only while the channel is not aborted; null ends that.
struct SetAbortSource {
  Channel* channel;
  void run(Stream& stream) const { stream.set_abort_source(channel); }
};

}  // namespace heddle
