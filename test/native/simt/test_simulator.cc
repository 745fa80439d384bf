#include <cmath>

#include "simt/harness.h"
#include "simt/simulator.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

using namespace cuda;

using Two = float[2 * kWarp];

template <typename T>
struct Matrices {
  alignas(16) T a[16][16], b[16][8], b_transposed[8][16];
};

/// The product of two matrices that ldmatrix brings to the registers, b in either way.
template <typename T>
void multiply_matrices() {
  begin_case("a product of matrices");
  const DType dtype = std::is_same_v<T, Float16> ? DType::kFloat16 : DType::kBFloat16;
  const Floats a = normals(16 * 16, 1, dtype), b = normals(16 * 8, 2, dtype);
  float out[2][16][8];
  simt::launch({1, 1, kWarp, 0}, [&] {
    HEDDLE_SHARED(Matrices<T>, shared);
    const int i = lane_index();
    for (int at = i; at < 16 * 16; at += kWarp) shared.a[at / 16][at % 16] = narrow<T>(a[at]);
    for (int at = i; at < 16 * 8; at += kWarp) {
      shared.b[at / 8][at % 8] = shared.b_transposed[at % 8][at / 8] = narrow<T>(b[at]);
    }
    sync_warp();
    uint32_t a_parts[4], b_parts[4], b_again[4];
    ldmatrix(a_parts, &shared.a[i % 16][i / 16 * 8]);
    ldmatrix_transposed(b_parts, &shared.b[i % 16][0]);
    ldmatrix(b_again, &shared.b_transposed[i % 8][i / 8 % 2 * 8]);
    for (int way = 0; way < 2; ++way) {
      float sums[4] = {1, 1, 1, 1};
      const uint32_t* const parts = way == 0 ? b_parts : b_again;
      mma<T>(sums, a_parts, parts[0], parts[1]);
      for (int j = 0; j < 4; ++j) out[way][i / 4 + j / 2 * 8][i % 4 * 2 + j % 2] = sums[j];
    }
  });
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      float wanted = 1;
      for (int k = 0; k < 16; ++k) wanted += a[row * 16 + k] * b[k * 8 + column];
      for (const auto& way : out) expect(way[row][column] == wanted, concat("element ", row, ", ", column));
    }
  }
}

/// The same of bytes. Matrices of 16-byte rows come by the same ldmatrix.
struct Bytes {
  alignas(16) int8_t a[16][32], b[8][32];  // b by column
};
void multiply_matrices_of_bytes() {
  begin_case("a product of matrices of bytes");
  const auto value = [](int i) { return static_cast<int8_t>(i * 37 % 256 - 128); };
  int32_t out[16][8];
  simt::launch({1, 1, kWarp, 0}, [&] {
    HEDDLE_SHARED(Bytes, shared);
    const int i = lane_index();
    for (int at = i; at < 16 * 32; at += kWarp) shared.a[at / 32][at % 32] = value(at);
    for (int at = i; at < 8 * 32; at += kWarp) shared.b[at / 32][at % 32] = value(at * at + 5);
    sync_warp();
    uint32_t a[4], b[4];
    ldmatrix(a, &shared.a[i % 16][i / 16 * 16]);
    ldmatrix(b, &shared.b[i % 8][i / 8 % 2 * 16]);
    int32_t sums[4] = {1, 1, 1, INT32_MAX};
    mma_bytes(sums, a, b[0], b[1]);
    for (int j = 0; j < 4; ++j) out[i / 4 + j / 2 * 8][i % 4 * 2 + j % 2] = sums[j];
  });
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      int64_t wanted = row >= 8 && column % 2 == 1 ? INT32_MAX : 1;  // which goes round
      for (int k = 0; k < 32; ++k) {
        wanted += value(row * 32 + k) * value((column * 32 + k) * (column * 32 + k) + 5);
      }
      expect(out[row][column] == static_cast<int32_t>(wanted), concat("element ", row, ", ", column));
    }
  }
}

}  // namespace

void test_simulator() {
  begin_op("simulator");
  expect_stop("lanes in different collectives", kWarp,
              {"kernel: lanes of a warp in different operations in block (0, 0), warp 0", "shuffle_xor", "ballot"}, [] {
                if (lane_index() < 5) {
                  shuffle_xor(1, 1);
                } else {
                  ballot(true);
                }
              });
  expect_stop("a lane that left", kWarp, {"lanes of a warp in different operations", "ended", "sync_warp"}, [] {
    if (lane_index() != 3) sync_warp();
  });
  expect_stop("a barrier that a warp does not reach", 2 * kWarp,
              {"a barrier that not all threads reach", "thread 32 on: ended", "test_simulator.cc"}, [] {
                if (warp_index() == 0) sync_block();
              });
  expect_stop("two barriers", 2 * kWarp, {"a barrier that not all threads reach"}, [] {
    if (warp_index() == 0) {
      sync_block();
    } else {
      sync_block();
    }
  });
  expect_stop("an unaligned copy", kWarp, {"unaligned"}, [] {
    HEDDLE_SHARED(Two, two);
    copy_async<16>(two + 1, two, false);
  });

  expect_stop("matrices at an unaligned address", kWarp, {"unaligned"}, [] {
    HEDDLE_SHARED(Two, two);
    uint32_t matrices[4];
    ldmatrix(matrices, two + lane_index());
  });
  expect_stop("a product that a lane does not take part in", kWarp, {"different operations", "mma", "ended"}, [] {
    float sums[4] = {};
    const uint32_t a[4] = {};
    if (lane_index() != 3) mma<Float16>(sums, a, 0, 0);
  });
  multiply_matrices<Float16>();
  multiply_matrices<BFloat16>();
  multiply_matrices_of_bytes();

  begin_case("what is not written or waited for is NaN");
  const float one = 1;
  bool shared = true, early = true, late = true;
  simt::launch({1, 1, kWarp, 0}, [&] {
    HEDDLE_SHARED(Two, two);
    const int i = lane_index();
    shared = shared && std::isnan(two[i]);
    two[i] = 2;
    copy_async<4>(two + i, &one, true);
    commit_copies();
    copy_async<4>(two + kWarp + i, &one, i % 2 == 0);
    commit_copies();
    early = early && std::isnan(two[i]) && std::isnan(two[kWarp + i]);
    wait_copies<1>();
    late = late && two[i] == 1 && std::isnan(two[kWarp + i]);
    wait_copies<0>();
    late = late && two[kWarp + i] == (i % 2 == 0 ? 1 : 0);
  });
  expect(shared, "shared memory");
  expect(early, "a copy under way");
  expect(late, "a copy waited for");

  begin_case("warps and lanes take turns in another order for another seed");
  Ints orders[3];
  for (int run = 0; run < 3; ++run) {
    simt::set_seed(run == 2 ? 8 : 7);
    simt::launch({1, 1, 4 * kWarp, 0}, [&] { orders[run].push_back(thread_index()); });
  }
  expect(orders[0] == orders[1] && orders[0] != orders[2], "the order");
}

}  // namespace heddle::test
