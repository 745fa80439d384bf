#include "ops/beam.h"

#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "core/philox.h"
#include "cpu/kernels.h"
#include "ops/beam_problem.h"

namespace heddle::cpu::HEDDLE_ISA {

void run(const BeamStep& op, KernelContext& context) {
  const int64_t problems = op.sums->shape[0], beams = op.sums->shape[1], count = op.candidates->shape[1];
  const Scratch<int32_t> candidates(context.allocator, count);
  for (int64_t p = 0; p < problems; ++p) {
    std::copy_n(op.candidates->data<int32_t>() + p * count, count, candidates.get());
    const int64_t first_row = p * op.rows_per_problem + op.first_row;
    BeamProblem problem{beams,
                        op.scores->shape[1] / beams,
                        count,
                        op.ends->numel(),
                        static_cast<int32_t>(first_row),
                        op.pad,
                        op.early_stopping,
                        op.length_penalty,
                        op.max_steps,
                        *op.steps->data<int32_t>(),
                        op.scores->data<float>() + p * op.scores->shape[1],
                        candidates.get(),
                        op.ends->data<int32_t>(),
                        op.sums->data<float>() + p * beams,
                        op.hypotheses->data<int32_t>() + p * beams * 4,
                        op.counts->data<int32_t>() + p,
                        op.done->data<int32_t>() + p,
                        op.tokens->data<int32_t>() + first_row,
                        op.sources->data<int32_t>() + first_row};
    if (!problem.run()) op.fail(p);
  }
  ++*op.steps->data<int32_t>();
}

void run(const GumbelNoise& op, KernelContext& context) {
  const int64_t rows = op.x->shape[0], width = op.x->shape[1];
  const uint32_t step = *op.steps->data<uint32_t>();
  constexpr int64_t kTile = 4096;
  const int64_t tiles = (width + kTile - 1) / kTile;
  context.parallel_for(rows * tiles, kTile * 25.0, [&](int64_t tile) {
    const int64_t row = tile / tiles, begin = tile % tiles * kTile, end = std::min(width, begin + kTile);
    const auto* const keys = op.keys->data<uint32_t>() + row * 3;
    for (int64_t i = begin; i < end; i += 4) {
      const PhiloxWords words =
          philox(keys[0], keys[1], step, keys[2], static_cast<uint32_t>(i / 4), PhiloxUse::kGumbel);
      for (int64_t j = i; j < std::min(end, i + 4); ++j) {
        const int64_t at = row * width + j;
        op.out->data<float>()[at] = op.x->data<float>()[at] - std::log(-std::log1p(-words.open_unit(j - i)));
      }
    }
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
