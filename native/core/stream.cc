#include "core/stream.h"

#include <algorithm>

#include "core/channel.h"

namespace heddle {

Stream::Stream(std::unique_ptr<Backend> backend)
    : backend_(std::move(backend)),
      tail_(new Block),
      out_of_memory_(std::make_shared<const Error>(ErrorKind::kRuntime, "OUT_OF_MEMORY", "[heddle] out of memory")) {
  unobserved_.reserve(kMaxUnobserved);
  if (backend_->runs_behind()) launched_.reserve(kMaxLaunched);
  thread_ = std::thread([this, head = tail_] { work(head); });
}

Stream::~Stream() {
  stop();
  thread_.join();
  delete tail_;
}

void Stream::stop() {
  stopping_.store(true, std::memory_order_release);  // whoever sees it sees all that was pushed
  waiter_.notify();
}

void Stream::push(const Record& record) {
  const size_t index = pushed_.load(std::memory_order_relaxed);
  if (index > 0 && index % kBlockRecords == 0) {
    tail_->next = new Block;
    tail_ = tail_->next;
  }
  tail_->records[index % kBlockRecords] = record;
  if (!record.cleanup) ++pushed_work_;
  pushed_.store(index + 1, std::memory_order_release);
  waiter_.notify();
}

void Stream::work(Block* head) {
  backend_->start();
  for (size_t index = 0;; ++index) {
    waiter_.wait(
        [&] { return pushed_.load(std::memory_order_acquire) > index || stopping_.load(std::memory_order_acquire); });
    if (pushed_.load(std::memory_order_acquire) == index) break;  // stopping, and nothing is left
    if (index > 0 && index % kBlockRecords == 0) {
      Block* const done = head;
      head = head->next;
      delete done;
    }
    const Record& record = head->records[index % kBlockRecords];
    if (record.cleanup || !stopping_.load(std::memory_order_relaxed)) run(record);
    if (!record.cleanup) finished_work_.fetch_add(1, std::memory_order_release);
    finished_.store(index + 1, std::memory_order_release);
  }
  settle();
  backend_->finish();
}

/// Where a command that is no op has no memory, what became of its work is not known: nothing on the stream is.
void Stream::run(const Record& record) {
  try {
    record.run(record.payload, *this);
  } catch (const std::bad_alloc&) {
    lose(out_of_memory_);
  }
}

std::shared_ptr<const Error> Stream::out_of_memory(const char* function) const noexcept {
  try {
    return std::make_shared<const Error>(ErrorKind::kRuntime, "OUT_OF_MEMORY",
                                         concat("[", function, "] out of memory"));
  } catch (const std::bad_alloc&) {
    return out_of_memory_;
  }
}

std::shared_ptr<const Error> Stream::share(const Error& error) const noexcept {
  try {
    return std::make_shared<const Error>(error);
  } catch (const std::bad_alloc&) {
    return out_of_memory_;
  }
}

void Stream::settle() {
  if (!backend_->runs_behind()) return;
  try {
    if (!lost_) backend_->wait();
  } catch (const Error& error) {
    lose(share(error));
  }
  for (size_t i = 0; i < launched_.size(); ++i) {
    launched_[i].conclude(*this, launched_[i].op, lost_ ? Backend::kNoFailure : backend_->outcome(i));
  }
  launched_.clear();
  buried_.clear();
  backend_->forget_outcomes();
}

bool Stream::post(const Tensor& numbers) {
  if (!capture_) return false;
  if (!capture_->is_whole) return true;
  capture_->parts.push_back({numbers.data<int32_t>(), static_cast<size_t>(numbers.numel()) * sizeof(int32_t)});
  return true;
}

void Stream::copy_out(void* to, const void* from, size_t bytes) {
  if (lost_) return;
  try {
    backend_->copy_out(to, from, bytes);
  } catch (const Error& error) {
    lose(share(error));
  }
}

/// The device is no more, and with it all that it held.
void Stream::lose(const std::shared_ptr<const Error>& error) {
  lost_ = error;
  remember(error);
}

void Stream::bury(std::unique_ptr<Tensor> tensor, std::unique_ptr<Storage> storage) {
  if (launched_.empty()) return;
  try {
    buried_.emplace_back(std::move(tensor), std::move(storage));
  } catch (const std::bad_alloc&) {
    settle();  // then nothing needs them any more
  }
}

std::shared_ptr<const Error> Stream::first_poison(const Tensor* const* reads, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (reads[i] && reads[i]->storage->poison) return reads[i]->storage->poison;
  }
  return nullptr;
}

void Stream::spread(const std::shared_ptr<const Error>& poison, Tensor* const* writes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (writes[i]) writes[i]->storage->poison = poison;
  }
}

/// An op did not run.
void Stream::fail(const std::shared_ptr<const Error>& error, Tensor* const* writes, size_t count) {
  settle();
  if (lost_) return spread(lost_, writes, count);
  poison(error, writes, count);
}

void Stream::poison(const std::shared_ptr<const Error>& error, Tensor* const* writes, size_t count) {
  spread(error, writes, count);
  remember(error);
}

/// For who asks: see take_unobserved.
void Stream::remember(const std::shared_ptr<const Error>& error) {
  if (error->told() || error->code() == "ABORTED") return;
  if (unobserved_.size() < kMaxUnobserved) unobserved_.push_back(error);
}

void Stream::prepare(Tensor* const* writes, size_t num_writes, const Tensor* const* reads, size_t num_reads) {
  if (lost_) throw Error(*lost_);
  if (abort_source_ && abort_source_->aborted()) throw Error(ErrorKind::kRuntime, "ABORTED", "the work was aborted");
  for (size_t i = 0; i < num_writes; ++i) {
    if (!writes[i]) continue;
    Storage& storage = *writes[i]->storage;
    give_memory(storage);
    if (storage.poison) settle();
    if (lost_) throw Error(*lost_);
  }
  forget_poison(writes, num_writes, reads, num_reads);
  for (size_t i = 0; i < num_reads; ++i) {
    if (reads[i] && !reads[i]->storage->data) {
      throw Error(ErrorKind::kRuntime, "NO_VALUE", "a tensor was read before the program that computes it ran");
    }
  }
}

/// What an op overwrites has a value again; what it updates had one.
void Stream::forget_poison(Tensor* const* writes, size_t num_writes, const Tensor* const* reads, size_t num_reads) {
  for (size_t i = 0; i < num_writes; ++i) {
    const bool updated = std::find(reads, reads + num_reads, writes[i]) != reads + num_reads;
    if (writes[i] && !updated) writes[i]->storage->poison.reset();
  }
}

std::shared_ptr<const Error> Stream::take_unobserved() {
  // Another stream, which was passed one, may have told it meanwhile.
  const auto first =
      std::find_if(unobserved_.begin(), unobserved_.end(), [](const auto& error) { return error->tell(); });
  const auto error = first == unobserved_.end() ? nullptr : *first;
  unobserved_.clear();
  return error;
}

void Stream::observe(const std::shared_ptr<const Error>& error) {
  error->tell();
  unobserved_.erase(std::remove(unobserved_.begin(), unobserved_.end(), error), unobserved_.end());
}

void Stream::drop(Storage& storage) {
  if (!storage.shared) backend_->memory().free(storage.data);
  storage.shared.reset();
  storage.data = nullptr;
}

}  // namespace heddle
