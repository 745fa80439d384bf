#include <cmath>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

struct Case {
  int64_t batch = 1, heads = 2, group = 1, queries = 5, keys = 5, width = 8, value_width = 8;
  bool causal = true, normalized = false;
  FeatureMap features = FeatureMap::kNone;
  int decay = 0;  // 1: by head, 2: by coordinate
  int beta = 0;   // 1: by head, 2: shared
  bool erase = false;
  bool past = false;
  int padding = 0;  // 1: lengths, 2: marks
  float eps = 0.0f;
};

std::string name_of_case(const Case& c, DType dtype) {
  return concat(name_of(dtype), " ", c.batch, "×", c.heads, "×", c.group, ", ", c.queries, " of ", c.keys, ", widths ",
                c.width, " and ", c.value_width, c.causal ? ", causal" : "", c.normalized ? ", normalized" : "",
                ", decay ", c.decay, ", beta ", c.beta, c.erase ? ", erase" : "", c.past ? ", past" : "", ", padding ",
                c.padding);
}

bool keeps(const Case& c, int64_t b, int64_t t) {
  if (c.padding == 1) return t < c.keys - 2 * b - 1;
  return c.padding == 0 || (t + b) % 3 != 1;
}

void check_as(const Case& c, DType dtype) {
  begin_case(name_of_case(c, dtype));
  const int64_t heads = c.heads * c.group, state_width = c.value_width + (c.normalized ? 1 : 0);
  Floats q = normals(c.batch * heads * c.queries * c.width, 1, dtype);
  Floats k = normals(c.batch * c.heads * c.keys * c.width, 2, dtype);
  const bool positive = c.normalized && c.features == FeatureMap::kNone;
  const float shrink = c.beta > 0 ? 0.25f : 1.0f;  // keys of a delta rule have a length of about 1
  for (float& x : q) x = positive ? std::fabs(x) : x;
  for (float& x : k) x = positive ? std::fabs(x) : x * shrink;
  const Floats v = normals(c.batch * c.heads * c.keys * c.value_width, 3, dtype);
  Floats decay = normals(c.batch * c.heads * c.keys * (c.decay == 2 ? c.width : 1), 4, dtype);
  for (float& x : decay) x = -0.25f * std::fabs(x);
  const int64_t beta_heads = c.beta == 2 ? 1 : c.heads;
  Floats beta = normals(c.batch * beta_heads * c.keys, 5, dtype);
  for (float& x : beta) x = 0.25f * std::fabs(x);
  const Floats erase = normals(c.batch * c.heads * c.keys * c.width, 6, dtype);
  Floats past = normals(c.batch * c.heads * c.width * state_width, 7);
  for (float& x : past) x = c.normalized ? std::fabs(x) : x;
  k = rounded(k, dtype);
  decay = rounded(decay, dtype);
  beta = rounded(beta, dtype);

  const Shape keys{c.batch, c.heads, c.keys, c.width};
  const Shape decay_shape{c.batch, c.heads, c.keys, c.decay == 2 ? c.width : 1};
  // q as part of a fused projection [B, T, H, D + 3].
  const int64_t step = c.width + 3;
  const Values q_values =
      Values::of({c.batch, heads, c.queries, c.width}, q, {c.queries * heads * step, step, heads * step, 1}, 2, dtype);
  const Values k_values = Values::of(keys, k, dtype);
  const Values v_values = Values::of({c.batch, c.heads, c.keys, c.value_width}, v, dtype);
  const Values decay_values = Values::of(decay_shape, decay, dtype);
  const Values beta_values = Values::of({c.batch, beta_heads, c.keys, 1}, beta, dtype);
  const Values erase_values = Values::of(keys, erase, dtype);
  const Values past_values = Values::of({c.batch, c.heads, c.width, state_width}, past);
  const Values marks(DType::kBool, {c.batch, c.keys}), lengths(DType::kInt32, {c.batch});
  for (int64_t b = 0; b < c.batch; ++b) {
    lengths->data<int32_t>()[b] = static_cast<int32_t>(c.keys - 2 * b - 1);
    for (int64_t t = 0; t < c.keys; ++t) marks->data<uint8_t>()[b * c.keys + t] = keeps(c, b, t);
  }
  const Values out(dtype, {c.batch, c.queries, heads, c.value_width});
  const Values state(DType::kFloat32, {c.batch, c.heads, c.width, state_width});
  LinearAttention op{q_values, k_values, v_values};
  op.decay = decay_values.when(c.decay > 0);
  op.beta = beta_values.when(c.beta > 0);
  op.erase = erase_values.when(c.erase);
  op.past = past_values.when(c.past);
  op.padding = c.padding == 1 ? lengths : marks.when(c.padding == 2);
  op.features = c.features;
  op.causal = c.causal;
  op.normalized = c.normalized;
  op.eps = c.eps;
  op.scale = 0.5f;
  op.out = out;
  op.state = state;
  compute(op);

  /// Outputs, then the state.
  const auto formula = [&](auto real, bool want_state) {
    using Real = decltype(real);
    std::vector<Real> y(out->numel()), final_state(state->numel());
    const auto feature = [&](float x) {
      return c.features == FeatureMap::kNone ? Real(x) : x > 0 ? Real(x) + 1 : std::exp(Real(x));
    };
    for (int64_t at = 0; at < c.batch * c.heads; ++at) {
      const int64_t b = at / c.heads, h = at % c.heads;
      std::vector<Real> s(c.width * c.value_width), z(c.width);
      for (int64_t d = 0; d < c.width && c.past; ++d) {
        for (int64_t e = 0; e < c.value_width; ++e) {
          s[d * c.value_width + e] = past[(at * c.width + d) * state_width + e];
        }
        if (c.normalized) z[d] = past[(at * c.width + d) * state_width + c.value_width];
      }
      const auto read = [&](int64_t i) {
        for (int64_t head = h * c.group; head < (h + 1) * c.group; ++head) {
          const float* query = &q[((b * heads + head) * c.queries + i) * c.width];
          Real divisor = 0;
          for (int64_t d = 0; d < c.width; ++d) divisor += feature(query[d]) * (z[d] + Real(c.eps));
          for (int64_t e = 0; e < c.value_width; ++e) {
            Real sum = 0;
            for (int64_t d = 0; d < c.width; ++d) sum += feature(query[d]) * s[d * c.value_width + e];
            const Real scaled = c.normalized ? (divisor == 0 ? Real(0) : sum / divisor) : sum * Real(0.5);
            y[((b * c.queries + i) * heads + head) * c.value_width + e] = scaled;
          }
        }
      };
      const auto update = [&](int64_t t) {
        if (!keeps(c, b, t)) return;
        const int64_t token = at * c.keys + t;
        std::vector<Real> u(v.begin() + token * c.value_width, v.begin() + (token + 1) * c.value_width);
        if (c.decay > 0) {
          for (size_t n = 0; n < s.size(); ++n) {
            const int64_t d = static_cast<int64_t>(n) / c.value_width;
            s[n] *= std::exp(Real(c.decay == 1 ? decay[token] : decay[token * c.width + d]));
          }
        }
        for (int64_t e = 0; e < c.value_width && c.beta > 0; ++e) {
          Real known = 0;
          for (int64_t d = 0; d < c.width; ++d) {
            const Real factor = c.erase ? Real(erase[token * c.width + d]) : Real(1);
            known += factor * feature(k[token * c.width + d]) * s[d * c.value_width + e];
          }
          u[e] = Real(c.beta == 2 ? beta[b * c.keys + t] : beta[token]) * (u[e] - known);
        }
        for (int64_t d = 0; d < c.width; ++d) {
          const Real key = feature(k[token * c.width + d]);
          z[d] += key;
          for (int64_t e = 0; e < c.value_width; ++e) s[d * c.value_width + e] += key * u[e];
        }
      };
      if (c.causal) {
        for (int64_t i = 0; i < c.queries - c.keys; ++i) read(i);
      }
      for (int64_t t = 0; t < c.keys; ++t) {
        update(t);
        const int64_t i = t + c.queries - c.keys;
        if (c.causal && i >= 0) read(i);
      }
      for (int64_t i = 0; i < c.queries && !c.causal; ++i) read(i);
      for (int64_t d = 0; d < c.width; ++d) {
        for (int64_t e = 0; e < c.value_width; ++e) {
          final_state[(at * c.width + d) * state_width + e] = s[d * c.value_width + e];
        }
        if (c.normalized) final_state[(at * c.width + d) * state_width + c.value_width] = z[d];
      }
    }
    return want_state ? final_state : y;
  };
  HEDDLE_EXPECT_AS_GOOD(
      out.floats(), [&](auto real) { return formula(real, false); }, dtype);
  HEDDLE_EXPECT_AS_GOOD(
      state.floats(), [&](auto real) { return formula(real, true); }, DType::kFloat32);
}

void check(const Case& c) {
  for (const DType dtype : kFloatTypes) check_as(c, dtype);
}

}  // namespace

void test_linear_attention() {
  begin_op(LinearAttention::kName);
  for (const bool causal : {true, false}) {
    for (const bool past : {true, false}) {
      Case c;
      c.causal = causal;
      c.past = past;
      c.normalized = true;
      c.features = FeatureMap::kElu;
      check(c);
      c.batch = 2;
      c.group = 3;
      c.queries = 19;
      c.keys = 37;  // more than a tile
      c.width = 13;
      c.value_width = 35;  // more than a block
      c.padding = 1;
      check(c);
      c.queries = 40;  // the first come before every key
      c.padding = 2;
      c.features = FeatureMap::kNone;
      c.eps = 1e-3f;
      check(c);
    }
  }
  for (const int decay : {0, 1, 2}) {
    for (const int beta : {0, 1, 2}) {
      Case c;
      c.decay = decay;
      c.beta = beta;
      c.past = decay == 1;
      c.erase = beta == 1;
      check(c);
      c.batch = 2;
      c.group = 2;
      c.queries = c.keys = 18;
      c.width = 20;
      c.value_width = 17;
      c.padding = decay;
      check(c);
    }
  }
  Case wide;  // a state that takes fewer columns a block, and more memory than is always there
  wide.queries = wide.keys = 3;
  wide.heads = 1;
  for (const int64_t width : {300, 1100}) {
    wide.width = width;
    wide.value_width = 40;
    check_as(wide, DType::kFloat32);
  }
  for (const int64_t keys : {0, 1}) {
    Case none;
    none.keys = keys;
    none.queries = 3;
    none.normalized = true;
    check(none);
    none.causal = false;
    check(none);
  }
}

}  // namespace heddle::test
