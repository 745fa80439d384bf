#include "core/transfer.h"

namespace heddle {

void Upload::run(Stream& stream) const {
  if (!stream.stopping()) {
    stream.attempt(*this, [&] { stream.copy_in(out->storage->data, values, out->storage->bytes); });
  }
  delete[] values;
}

void Send::run(Stream& stream) const {
  const Storage& storage = *x->storage;
  try {
    if (stream.stopping()) throw Error(ErrorKind::kRuntime, "ABORTED", "[to] the process is ending");
    if (storage.data) {
      // From the view's own place: the storage may hold more.
      parcel->bytes.resize(bytes_of(x->dtype, x->shape, x->layout));
      const auto* from =
          static_cast<const std::byte*>(storage.data) + static_cast<size_t>(x->offset) * size_of(x->dtype);
      stream.copy_out(parcel->bytes.data(), from, parcel->bytes.size());
    }
    stream.settle();
    parcel->error = stream.error_of(storage);
    if (!parcel->error && !storage.data) {
      throw Error(ErrorKind::kRuntime, "NO_VALUE", "[to] the program that computes this tensor has not run");
    }
  } catch (const Error& error) {
    parcel->error = stream.share(error);
  } catch (const std::bad_alloc&) {
    stream.settle();  // what was to be copied has come
    parcel->error = stream.out_of_memory("to");
  }
  parcel->there.store(true, std::memory_order_release);
  parcel->arrival.notify();
  parcel->let_go();
}

void Receive::run(Stream& stream) const {
  parcel->arrival.wait([&] { return parcel->there.load(std::memory_order_acquire); });
  if (parcel->error) {
    stream.pass_on(parcel->error, *this);
  } else if (!stream.stopping()) {
    stream.attempt(*this, [&] { stream.copy_in(out->storage->data, parcel->bytes.data(), parcel->bytes.size()); });
  }
  parcel->let_go();
}

}  // namespace heddle
