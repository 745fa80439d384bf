#pragma once

#include "cpu/simd.h"

namespace heddle::cpu::HEDDLE_ISA {

/// Σ c_i x^i by Horner's rule.
template <int N>
inline Vec polynomial(Vec x, const float (&c)[N]) {
  Vec y = Vec::set(c[N - 1]);
  for (int i = N - 2; i >= 0; --i) y = fma(y, x, Vec::set(c[i]));
  return y;
}

/// e^x within 1 ulp; 0 below -87.3 (results there would be denormal), +∞ above 88.37, NaN for NaN.
/// x = n ln 2 + r with |r| ≤ ln 2 / 2; e^r by a polynomial fitted to relative error on that interval.
inline Vec exp(Vec x) {
  static constexpr float kExp[] = {1.0f,           1.0f,           0.49999991059f, 0.16666421294f,
                                   0.04166835919f, 0.00837477762f, 0.00138294111f};
  const Vec n = round(min(Vec::set(127.0f), max(Vec::set(-126.0f), x * Vec::set(1.44269504089f))));
  const Vec r = fma(n, Vec::set(-1.42860677e-6f), fma(n, Vec::set(-0.693145751953125f), x));
  const Vec y = scale_by_power(polynomial(r, kExp), n);
  const Vec high = select(Vec::set(88.37625885f) < x, Vec::set(__builtin_inff()), y);
  return select(x < Vec::set(-87.33654022216797f), Vec::set(0.0f), high);
}

/// The error function within 3 ulp: an odd polynomial up to 1, beyond it 1 - e^-p(|x|). Coefficients are Chebyshev
/// fits in float64.
inline Vec erf(Vec x) {
  static constexpr float kSmall[] = {0.12837910652f, -0.37612625957f, 0.1128359735f, -0.02685432881f,
                                     0.00518931216f, -0.00080188551f, 0.00007882497f};
  static constexpr float kLarge[] = {-0.00030421902f, 1.13017046452f,  0.63193106651f, 0.10998356342f, -0.02636756003f,
                                     0.00474116718f,  -0.00059296080f, 0.00004561221f, -0.00000161510f};
  const Vec one = Vec::set(1.0f);
  const Vec magnitude = abs(x);
  const Vec small = fma(x, polynomial(x * x, kSmall), x);
  const Vec bounded = min(Vec::set(4.0f), magnitude);  // erf(4) is 1 in float32
  const Vec large = one - exp(Vec::set(0.0f) - polynomial(bounded, kLarge));
  return select(magnitude < one, small, copy_sign(large, x));
}

/// The hyperbolic tangent within 2 ulp: an odd polynomial up to 0.7, a Chebyshev fit in float64; beyond it
/// 1 - 2 / (e^2|x| + 1).
inline Vec tanh(Vec x) {
  static constexpr float kSmall[] = {-0.33333333f, 0.13333253f, -0.05394857f, 0.02169165f, -0.00811871f, 0.00206485f};
  const Vec one = Vec::set(1.0f);
  const Vec magnitude = abs(x), square = x * x;
  const Vec small = fma(polynomial(square, kSmall), x * square, x);
  const Vec power = exp(Vec::set(2.0f) * min(Vec::set(20.0f), magnitude));  // tanh(20) is 1 in float32
  const Vec large = one - Vec::set(2.0f) / (power + one);
  return select(magnitude < Vec::set(0.7f), small, copy_sign(large, x));
}

}  // namespace heddle::cpu::HEDDLE_ISA
