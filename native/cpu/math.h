#pragma once

#include <cmath>

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
  const Vec high = select(Vec::set(88.37625885f) < x, Vec::set(INFINITY), y);
  return select(x < Vec::set(-87.33654022216797f), Vec::set(0.0f), high);
}

/// e^x for x of at most 0, where an absolute error of 1 ulp of 1 will do: below -1 the relative one grows to |x| / 4
/// ulp. 0 below -87.3, NaN for NaN. Two thirds of the work of `exp`: no end above, and 2^r with r = x / ln 2 - n.
inline Vec exp_below(Vec x) {
  static constexpr float kExp2[] = {1.0f,           0.69314718246f, 0.24022647738f, 0.05550332367f,
                                    0.00961843692f, 0.00133988739f, 0.00015353362f};
  const Vec log2_e = Vec::set(1.44269504089f), lowest = Vec::set(-126.0f);
  const Vec power = x * log2_e, n = round(max(lowest, power));
  const Vec y = scale_by_power(polynomial(fma(x, log2_e, Vec::set(0.0f) - n), kExp2), n);
  return select(power < lowest, Vec::set(0.0f), y);
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

/// e^x - 1 within 2 ulp: a polynomial where the subtraction would cancel.
inline Vec expm1(Vec x) {
  static constexpr float kSmall[] = {0.50000003853f, 0.16666663986f, 0.04166535860f,
                                     0.00833357903f, 0.00139961764f, 0.00019849810f};
  const Vec small = fma(x * x, polynomial(x, kSmall), x);
  return select(abs(x) < Vec::set(0.5f), small, exp(x) - Vec::set(1.0f));
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

/// The natural logarithm within 2 ulp; -∞ of 0, NaN below. x = 2^n (1 + f) with 1 + f in [√½, √2];
/// ln(1 + f) = f - f²/2 + f³ · polynomial.
inline Vec log(Vec x) {
  static constexpr float kLog[] = {0.33333312604f,  -0.25000009600f, 0.20002118663f,  -0.16667995843f, 0.14219552279f,
                                   -0.12405589063f, 0.11888162971f,  -0.11675651214f, 0.06746638265f};
  const Vec zero = Vec::set(0.0f), one = Vec::set(1.0f), infinity = Vec::set(INFINITY);
  const Mask denormal = x < Vec::set(0x1p-126f);
  const Vec normal = select(denormal, x * Vec::set(0x1p23f), x);
  const Vec mantissa = mantissa_of(normal);
  const Mask upper = Vec::set(1.41421356237f) < mantissa;
  const Vec f = select(upper, Vec::set(0.5f) * mantissa, mantissa) - one;
  const Vec n = exponent_of(normal) + select(upper, one, zero) - select(denormal, Vec::set(23.0f), zero);
  const Vec square = f * f;
  const Vec tail = fma(Vec::set(-0.5f), square, fma(n, Vec::set(1.42860677e-6f), f * square * polynomial(f, kLog)));
  const Vec y = fma(n, Vec::set(0.693145751953125f), f + tail);
  const Vec positive = select(x < infinity, y, x);
  const Vec other = select(x < zero, Vec::set(NAN), x - infinity);
  return select(zero < x, positive, other);
}

/// ln(1 + x) within 3 ulp, for x in [0, 1].
inline Vec log1p(Vec x) {
  const Vec sum = Vec::set(1.0f) + x;
  return log(sum) + (x - (sum - Vec::set(1.0f))) / sum;  // what the sum has lost
}

struct CosSin {
  Vec cos, sin;
};

/// Of what `cos_sin` takes: nothing where products are rounded before they are subtracted.
constexpr float kMostAngle = Vec::kFuses ? 0x1p18f : -1.0f;

/// Cosine and sine within 2 ulp, for |x| of at most kMostAngle: x = n π/2 + r, with π/2 in three parts. Polynomials of
/// r² are Chebyshev fits in float64.
inline CosSin cos_sin(Vec x) {
  static constexpr float kCos[] = {-0.5f, 0.041666645557f, -0.0013887269888f, 0.000024424676667f};
  static constexpr float kSin[] = {-0.16666667163f, 0.008333330974f, -0.00019839796005f, 0.0000027214284728f};
  const Vec one = Vec::set(1.0f);
  const Vec n = round(x * Vec::set(0.63661977237f));
  const Vec first = fma(n, Vec::set(-1.57079637f), x);
  const Vec r = fma(n, Vec::set(1.7151245e-15f), fma(n, Vec::set(4.3711388e-8f), first)), square = r * r;
  const Vec c = fma(square, polynomial(square, kCos), one), s = fma(r * square, polynomial(square, kSin), r);
  const Vec quadrant = fma(round(n * Vec::set(0.25f)), Vec::set(-4.0f), n);  // -2 to 2
  const Vec even = one - abs(quadrant);                                      // 0 where they change roles
  const Mask is_odd = abs(even) < Vec::set(0.5f);
  return {select(is_odd, (Vec::set(0.0f) - quadrant) * s, even * c), select(is_odd, quadrant * c, even * s)};
}

}  // namespace heddle::cpu::HEDDLE_ISA
