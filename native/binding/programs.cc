#include <iterator>

#include "binding/call.h"
#include "core/program.h"
#include "ops/checks.h"

namespace heddle {
namespace {

/// Hands the news of a channel to its callback.
class Delivery : public Completion {
 public:
  explicit Delivery(Runtime::Handle channel) : channel_(channel) {}

  void deliver(Napi::Env env) override {
    Isolate& isolate = Isolate::of(env);
    Channel* const channel = isolate.runtime->find_channel(channel_);
    if (!channel) return;  // disposed meanwhile
    const ChannelNews news = channel->take();
    auto tokens = Napi::Int32Array::New(env, news.tokens.size());
    std::copy(news.tokens.begin(), news.tokens.end(), tokens.Data());
    const Napi::Value error = news.error ? isolate.to_javascript(*news.error).Value() : env.Undefined();
    isolate.channel_callbacks.at(channel_).Call(
        {tokens, Napi::Number::New(env, static_cast<double>(news.finished_loops)),
         Napi::Number::New(env, static_cast<double>(news.steps)), Napi::Boolean::New(env, news.done), error});
  }

 private:
  Runtime::Handle channel_;
};

Napi::Value begin_recording(const Call& c) {
  c.runtime().begin_recording();
  return c.undefined();
}

Napi::Value end_recording(const Call& c) {
  return Napi::Number::New(c.env(), static_cast<double>(c.runtime().end_recording()));
}

Napi::Value cancel_recording(const Call& c) {
  c.runtime().cancel_recording();
  return c.undefined();
}

Program* program_of(const Call& c, size_t index) {
  Program* const program = c.runtime().find_program(c.integer(index));
  if (!program) throw_type_error("[", c.function(), "] the program was disposed");
  return program;
}

Channel* channel_of(const Call& c, size_t index) {
  Channel* const channel = c.runtime().find_channel(c.integer(index));
  if (!channel) throw_type_error("[", c.function(), "] the channel was disposed");
  return channel;
}

/// Programs are replayed, not nested.
void check_not_recording(const Call& c) {
  if (!c.runtime().recording()) return;
  throw Error(ErrorKind::kRuntime, "RECORDING", "[program] a program cannot be replayed while another is recorded");
}

Napi::Value run_program(const Call& c) {
  check_not_recording(c);
  Program* const program = program_of(c, 0);
  if (!program->stream) return c.undefined();  // of no ops
  c.runtime().check_depth("program", *program->stream);
  program->stream->push(Record::of(RunProgram{program}));
  return c.undefined();
}

/// (program, channel, max steps)
Napi::Value run_loop(const Call& c) {
  check_not_recording(c);
  Program* const program = program_of(c, 0);
  Channel* const channel = channel_of(c, 1);
  if (program->stream && program->stream != &channel->stream) {
    throw_type_error("[program] its ops are on ", name_of(program->stream->device()), " but the channel is for ",
                     name_of(channel->stream.device()));
  }
  channel->stream.push(Record::of(Loop{program, channel, c.integer(2)}));
  return c.undefined();
}

Napi::Value dispose_program(const Call& c) {
  return Napi::Boolean::New(c.env(), c.runtime().dispose_program(c.integer(0)));
}

/// (device, callback(tokens, finishedLoops, steps, done, error))
Napi::Value open_channel(const Call& c) {
  Isolate& isolate = c.isolate();
  auto handle = std::make_shared<Runtime::Handle>(0);
  const auto wake = [&isolate, handle] { isolate.mailbox.post(std::make_unique<Delivery>(*handle)); };
  *handle = c.runtime().open_channel(c.stream(0), wake);
  isolate.channel_callbacks[*handle] = Napi::Persistent(c.value(1).As<Napi::Function>());
  return Napi::Number::New(c.env(), static_cast<double>(*handle));
}

Napi::Value stop_channel(const Call& c) {
  channel_of(c, 0)->stop();
  return c.undefined();
}

Napi::Value abort_channel(const Call& c) {
  channel_of(c, 0)->abort();
  return c.undefined();
}

Napi::Value dispose_channel(const Call& c) {
  const bool existed = c.runtime().dispose_channel(c.integer(0));
  if (existed) c.isolate().channel_callbacks.erase(c.integer(0));
  return Napi::Boolean::New(c.env(), existed);
}

/// Somebody awaits a callback: the process stays alive.
Napi::Value hold(const Call& c) {
  c.isolate().mailbox.hold();
  return c.undefined();
}

Napi::Value let_go(const Call& c) {
  c.isolate().mailbox.let_go();
  return c.undefined();
}

/// (tokens, finished, channel)
Napi::Value emit(const Call& c) {
  const Emit op{c.tensor(0, "tokens"), c.tensor(1, "finished"), channel_of(c, 2)};
  check_int32_vector(Emit::kName, "tokens", op.tokens, op.tokens->numel());
  check_int32_vector(Emit::kName, "finished", op.finished, op.finished->numel());
  c.runtime().submit(op);
  return c.undefined();
}

/// (channel, on): what is queued on the channel's device from here on runs only while it is not aborted; or again in
/// any case.
Napi::Value set_abort_source(const Call& c) {
  Channel* const channel = channel_of(c, 0);
  channel->stream.push(Record::of(SetAbortSource{c.flag(1) ? channel : nullptr}));
  return c.undefined();
}

constexpr Export kPrograms[] = {
    {"beginRecording", "program", begin_recording},
    {"endRecording", "program", end_recording},
    {"cancelRecording", "program", cancel_recording},
    {"runProgram", "program", run_program},
    {"runLoop", "program", run_loop},
    {"disposeProgram", "program", dispose_program},
    {"openChannel", "channel", open_channel},
    {"stopChannel", "channel", stop_channel},
    {"abortChannel", "channel", abort_channel},
    {"disposeChannel", "channel", dispose_channel},
    {"hold", "channel", hold},
    {"letGo", "channel", let_go},
    {"emit", "emit", emit},
    {"setAbortSource", "abort", set_abort_source},
};

}  // namespace

void export_programs(Napi::Env env, Napi::Object exports) {
  export_functions(env, exports, kPrograms, std::size(kPrograms));
}

}  // namespace heddle
