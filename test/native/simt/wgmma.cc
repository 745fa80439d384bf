#include <array>
#include <cstring>
#include <deque>
#include <map>
#include <vector>

#include "simt/hopper.h"

// Products of a warpgroup. Each warp has a queue of its own, computes its 16 rows at its own wait, and is held to what
// the other warps of its group have issued.

namespace heddle::simt {
namespace {

constexpr int kWarp = 32;
constexpr int kRows = 16;   // of a warp
constexpr int kSteps = 16;  // along k
constexpr uint32_t kPoison = 0xffffffffu;

/// What a lane brings.
struct Own {
  int thread;
  float* sums;
  Factors factors;
  Site site;
};

using Registers = std::array<uint32_t, 4>;
/// a [16, 16], then b by column [columns, 16].
using Operands = std::vector<uint16_t>;

struct Product {
  Factors factors;
  float* sums[kWarp];
  const uint32_t* a[kWarp];
  Registers values[kWarp];  // of a in registers, as they were
  Operands operands;        // as they were when it was issued
  int first_row;
};

struct Warp {
  bool fenced = false;
  std::vector<Product> open;
  std::deque<std::vector<Product>> groups;
  std::map<float*, std::vector<float>> sums;  // under way, by the first lane's: [lane][columns / 2]
  size_t issued = 0;
};

/// What warps of a group must agree on.
struct Step {
  Site site;
  uint64_t a, b;
  bool adds;
};

std::map<int, Warp>& warps = *new std::map<int, Warp>;
std::map<int, std::vector<Step>>& steps = *new std::map<int, std::vector<Step>>;

/// Holds a warp to what its group does.
Warp& agree(const Own& own) {
  const int index = own.thread / kWarp;
  Warp& warp = warps[index];
  std::vector<Step>& group = steps[index / 4];
  const Step step{own.site, own.factors.a, own.factors.b, own.factors.adds};
  if (warp.issued == group.size()) group.push_back(step);
  const Step& other = group[warp.issued++];
  if (!(other.site == step.site) || other.a != step.a || other.b != step.b || other.adds != step.adds) {
    stop("warps of a warpgroup with different products");
  }
  return warp;
}

struct Layout {
  uint32_t first, leading, stride;
  uint32_t line;     // bytes of a line, which is what swizzling goes over; 16: none
  uint32_t swizzle;  // the bits that it changes
};

Layout layout_of(uint64_t descriptor) {
  const auto field = [&](int at) { return static_cast<uint32_t>(descriptor >> at & 0x3fff) << 4; };
  if ((descriptor >> 49 & 7) != 0) stop("a descriptor with a base offset, which is not simulated");
  constexpr uint32_t kLines[] = {16, 128, 64, 32};
  const uint32_t line = kLines[descriptor >> 62];
  return {field(0), field(16), field(32), line, line / 16 - 1};
}

/// Element `step` of row or column `row`.
uint16_t element(const Layout& layout, bool rows, uint32_t row, uint32_t step) {
  uint32_t at = layout.first;
  const uint32_t line = layout.line;
  if (rows && line == 16) {
    at += row / 8 * layout.stride + step / 8 * layout.leading + step % 8 * line + row % 8 * 2;
  } else if (rows) {
    at += row / (line / 2) * layout.leading + step / 8 * layout.stride + step % 8 * line + row % (line / 2) * 2;
  } else {
    at += row / 8 * layout.stride + row % 8 * line;
    at += line == 16 ? step / 8 * layout.leading + step % 8 * 2 : step * 2;
  }
  at ^= (at >> 7 & layout.swizzle) << 4;
  uint16_t bits;
  std::memcpy(&bits, async_view(at, sizeof bits), sizeof bits);
  return bits;
}

Operands read_operands(const Product& product) {
  const Factors& f = product.factors;
  Operands all(static_cast<size_t>((kRows + f.columns) * kSteps));
  if (!f.a_registers) {
    const Layout a = layout_of(f.a);
    for (int i = 0; i < kRows * kSteps; ++i) {
      all[i] = element(a, f.rows_of_a, product.first_row + i / kSteps, i % kSteps);
    }
  }
  const Layout b = layout_of(f.b);
  for (int i = 0; i < f.columns * kSteps; ++i) {
    all[kRows * kSteps + i] = element(b, f.rows_of_b, i / kSteps, i % kSteps);
  }
  return all;
}

void issue(void* const* lanes) {
  const auto of = [&](int i) -> const Own& { return *static_cast<const Own*>(lanes[i]); };
  Warp& warp = agree(of(0));
  Product product{of(0).factors, {}, {}, {}, {}, of(0).thread / kWarp % 4 * kRows};
  const size_t count = product.factors.columns / 2;
  for (int i = 0; i < kWarp; ++i) {
    if (of(i).factors.a != of(0).factors.a || of(i).factors.b != of(0).factors.b) {
      stop("lanes of a product with different descriptors");
    }
    product.sums[i] = of(i).sums;
    if ((product.a[i] = of(i).factors.a_registers)) std::memcpy(&product.values[i], product.a[i], sizeof(Registers));
  }
  if (!warp.fenced) stop("a product without a fence");
  std::vector<float>& sums = warp.sums[product.sums[0]];
  if (sums.empty()) {
    sums.resize(kWarp * count);
    for (int i = 0; i < kWarp; ++i) std::memcpy(&sums[i * count], product.sums[i], count * sizeof(float));
    for (int i = 0; i < kWarp; ++i) std::memset(product.sums[i], 0xff, count * sizeof(float));
  }
  product.operands = read_operands(product);
  warp.open.push_back(std::move(product));
}

float value_of(uint16_t bits, bool is_float16) {
  return is_float16 ? to_float(Float16{bits}) : to_float(BFloat16{bits});
}

void compute(Product& product, std::vector<float>& sums) {
  const Factors& f = product.factors;
  Operands now = read_operands(product);
  if (now != product.operands) stop("shared memory of a product that changed between its issue and its wait");
  for (int i = 0; i < kWarp && f.a_registers; ++i) {
    if (std::memcmp(&product.values[i], product.a[i], sizeof(Registers)) != 0) {
      stop("registers of a product that changed before its wait");
    }
    for (int j = 0; j < 4; ++j) {
      uint16_t* const to = &now[(i / 4 + j % 2 * 8) * kSteps + i % 4 * 2 + j / 2 * 8];
      to[0] = static_cast<uint16_t>(product.values[i][j]);
      to[1] = static_cast<uint16_t>(product.values[i][j] >> 16);
    }
  }
  // a by row, b by step: then all columns of a row go along k together.
  const int columns = f.columns;
  std::vector<float> b(static_cast<size_t>(kSteps * columns)), row(static_cast<size_t>(columns));
  for (int n = 0; n < columns; ++n) {
    for (int k = 0; k < kSteps; ++k) b[k * columns + n] = value_of(now[(kRows + n) * kSteps + k], f.is_float16);
  }
  // Sums j, j + 1 of a lane are columns of row g, the next two of row g + 8 (see mma in cuda/device.h).
  const auto place = [&](int m, int n) -> float& {
    const int lane = m % 8 * 4 + n % 8 / 2;
    return sums[lane * (columns / 2) + n / 8 * 4 + m / 8 * 2 + n % 2];
  };
  for (int m = 0; m < kRows; ++m) {
    for (int n = 0; n < columns; ++n) row[n] = f.adds ? place(m, n) : 0.0f;
    for (int k = 0; k < kSteps; ++k) {
      const float a = value_of(now[m * kSteps + k], f.is_float16);
      const float* const along = &b[k * columns];
      for (int n = 0; n < columns; ++n) row[n] += a * along[n];
    }
    for (int n = 0; n < columns; ++n) place(m, n) = row[n];
  }
}

/// Nothing that is under way writes them any more.
bool is_done(const Warp& warp, const float* sums) {
  const auto uses = [&](const std::vector<Product>& group) {
    for (const Product& product : group) {
      if (product.sums[0] == sums) return true;
    }
    return false;
  };
  if (uses(warp.open)) return false;
  for (const auto& group : warp.groups) {
    if (uses(group)) return false;
  }
  return true;
}

void hand_over(Warp& warp, const Product& product) {
  const auto found = warp.sums.find(product.sums[0]);
  if (found == warp.sums.end() || !is_done(warp, product.sums[0])) return;
  const size_t count = product.factors.columns / 2;
  for (int i = 0; i < kWarp; ++i) {
    for (size_t j = 0; j < count; ++j) {
      if (std::memcmp(product.sums[i] + j, &kPoison, sizeof kPoison) != 0) {
        stop("sums that were touched while a product was under way");
      }
    }
    std::memcpy(product.sums[i], &found->second[i * count], count * sizeof(float));
  }
  warp.sums.erase(found);
}

/// `own.factors.columns`: groups that may stay under way.
void wait_for(void* const* lanes) {
  const Own& own = *static_cast<const Own*>(lanes[0]);
  Warp& warp = agree(own);
  warp.fenced = false;
  while (warp.groups.size() > static_cast<size_t>(own.factors.columns)) {
    std::vector<Product> group = std::move(warp.groups.front());
    warp.groups.pop_front();
    for (Product& product : group) compute(product, warp.sums[product.sums[0]]);
    for (const Product& product : group) hand_over(warp, product);
  }
}

void do_together(const char* operation, Exchange exchange, float* sums, const Factors& factors, Site site) {
  Own own{thread_index(), sums, factors, site};
  collective(operation, exchange, &own, site);
}

}  // namespace

void begin_products() {
  warps.clear();
  steps.clear();
}

void end_products() {
  for (const auto& [index, warp] : warps) {
    if (!warp.open.empty() || !warp.groups.empty()) stop("products that nobody waited for");
    if (warp.issued != steps[index / 4].size()) stop("warps of a warpgroup with different products");
  }
}

void multiply(float* sums, const Factors& factors, Site site) { do_together("wgmma", issue, sums, factors, site); }

void fence_products(Site site) {
  const auto fence = [](void* const* lanes) { agree(*static_cast<const Own*>(lanes[0])).fenced = true; };
  do_together("fence_products", fence, nullptr, {}, site);
}

void commit_products(Site site) {
  const auto commit = [](void* const* lanes) {
    Warp& warp = agree(*static_cast<const Own*>(lanes[0]));
    warp.groups.push_back(std::move(warp.open));
    warp.open.clear();
  };
  do_together("commit_products", commit, nullptr, {}, site);
}

void wait_products(size_t pending, Site site) {
  Factors factors{};
  factors.columns = static_cast<int>(pending);
  do_together("wait_products", wait_for, nullptr, factors, site);
}

}  // namespace heddle::simt
