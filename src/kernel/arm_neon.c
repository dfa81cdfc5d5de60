/* arm_neon: the primitives of kernel/lanes.h for Advanced SIMD of 64-bit ARM.
 *
 * gemm: 6 rows × 4 vectors of 4 columns are 24 sums, four registers hold B, one the broadcast of A: 29 of 32.
 * Executed so far under qemu only (tools/arm-test): its results are tested, its speed has never been measured on a
 * processor. */
#include "kernel/kernels.h"

#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "kernel/unroll.h"

#define VEC float32x4_t
#define LANES 4
#define PIN(v) __asm__("" : "+w"(v))

enum { MR = 6, NR = 16, PANELS_AT_ONCE = 2 };

#define v_set1 vdupq_n_f32
#define v_load vld1q_f32
#define v_store vst1q_f32
#define v_add vaddq_f32
#define v_sub vsubq_f32
#define v_mul vmulq_f32
#define v_div vdivq_f32
#define v_sqrt vsqrtq_f32
#define v_abs vabsq_f32
#define v_max vmaxq_f32 /* NaN from either side: the second operand's among them */
#define v_min vminq_f32
#define v_sum vaddvq_f32
#define v_largest vmaxvq_f32

INLINE VEC v_zero(void)
{
	return vdupq_n_f32(0);
}

INLINE VEC v_fma(VEC a, VEC b, VEC c)
{
	return vfmaq_f32(c, a, b);
}

INLINE VEC v_fnma(VEC a, VEC b, VEC c)
{
	return vfmsq_f32(c, a, b);
}

INLINE VEC v_load_n(const float *p, size_t n)
{
	float x[LANES] = { 0 };

	memcpy(x, p, n * sizeof(float));
	return vld1q_f32(x);
}

INLINE void v_store_n(float *p, size_t n, VEC v)
{
	float x[LANES];

	vst1q_f32(x, v);
	memcpy(p, x, n * sizeof(float));
}

INLINE VEC v_first(VEC v, size_t n)
{
	static const uint32_t at[LANES] = { 0, 1, 2, 3 };

	return vbslq_f32(vcltq_u32(vld1q_u32(at), vdupq_n_u32((uint32_t)n)), v, vdupq_n_f32(0));
}

INLINE VEC v_seen(uint32_t bits, VEC v, VEC other)
{
	static const uint32_t at[LANES] = { 1, 2, 4, 8 };

	return vbslq_f32(vtstq_u32(vdupq_n_u32(bits), vld1q_u32(at)), v, other);
}

INLINE VEC v_copysign(VEC magnitude, VEC sign)
{
	return vbslq_f32(vdupq_n_u32(0x80000000), sign, magnitude);
}

INLINE VEC v_shift_exponent(VEC p, VEC n)
{
	return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), vshlq_n_u32(vreinterpretq_u32_f32(n), 23)));
}

INLINE void v_transpose(VEC x[LANES])
{
	float32x4x2_t a = vtrnq_f32(x[0], x[1]), b = vtrnq_f32(x[2], x[3]);

	x[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
	x[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
	x[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
	x[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

INLINE float f16_one(const uint8_t *p)
{
	__fp16 h;

	memcpy(&h, p, sizeof(h));
	return (float)h;
}

struct run {
	int8x16_t q;
};

INLINE struct run run_nibbles(const uint8_t *p, int shift)
{
	return (struct run){ vreinterpretq_s8_u8(
		vandq_u8(vshlq_u8(vld1q_u8(p), vdupq_n_s8((int8_t)-shift)), vdupq_n_u8(15))) };
}

INLINE struct run run_signed(const uint8_t *p)
{
	return (struct run){ vreinterpretq_s8_u8(vld1q_u8(p)) };
}

INLINE uint8x16_t bits_by_lane(void)
{
	static const uint8_t bits[16] = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };

	return vld1q_u8(bits);
}

INLINE struct run run_fifth(struct run r, uint16_t bits)
{
	uint8x16_t set =
		vtstq_u8(vcombine_u8(vdup_n_u8((uint8_t)bits), vdup_n_u8((uint8_t)(bits >> 8))), bits_by_lane());

	return (struct run){ vorrq_s8(r.q, vreinterpretq_s8_u8(vandq_u8(set, vdupq_n_u8(16)))) };
}

INLINE struct run run_pairs(struct run r, const uint8_t *p, int shift)
{
	uint8x16_t pairs = vandq_u8(vshlq_u8(vld1q_u8(p), vdupq_n_s8((int8_t)-shift)), vdupq_n_u8(3));

	return (struct run){ vorrq_s8(r.q, vreinterpretq_s8_u8(vshlq_n_u8(pairs, 4))) };
}

INLINE uint16_t bit_of_bytes(const uint8_t *p, int bit)
{
	uint8x16_t set = vandq_u8(vtstq_u8(vld1q_u8(p), vdupq_n_u8((uint8_t)(1 << bit))), bits_by_lane());

	return (uint16_t)(vaddv_u8(vget_low_u8(set)) | vaddv_u8(vget_high_u8(set)) << 8);
}

INLINE void run_affine(struct run r, float d, float m, VEC out[4])
{
	int16x8_t low = vmovl_s8(vget_low_s8(r.q)), high = vmovl_s8(vget_high_s8(r.q));
	int32x4_t q[4] = { vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_high_s16(low)), vmovl_s16(vget_low_s16(high)),
		           vmovl_s16(vget_high_s16(high)) };

	UNROLL(4)
	for (int v = 0; v < 4; v++)
		out[v] = vfmaq_f32(vdupq_n_f32(m), vcvtq_f32_s32(q[v]), vdupq_n_f32(d));
}

INLINE void run_lookup(struct run r, const float *map, float s, VEC out[4])
{
	int8_t q[16];

	vst1q_s8(q, r.q);
	for (int v = 0; v < 4; v++) {
		const int8_t *at = q + 4 * v;
		float x[4] = { map[at[0]], map[at[1]], map[at[2]], map[at[3]] };
		out[v] = vmulq_n_f32(vld1q_f32(x), s);
	}
}

INLINE VEC v_as_f16(VEC v) { return vcvt_f32_f16(vcvt_f16_f32(v)); }

INLINE VEC v_as_bf16(VEC v)
{
	uint32x4_t x = vreinterpretq_u32_f32(v), odd = vandq_u32(vshrq_n_u32(x, 16), vdupq_n_u32(1));

	x = vaddq_u32(x, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
	return vreinterpretq_f32_u32(vandq_u32(x, vdupq_n_u32(0xffff0000)));
}

INLINE void run_dwords(const uint8_t *p, int shift, int mask, VEC out[4])
{
	UNROLL(4)
	for (int v = 0; v < 4; v++) {
		uint32x4_t x = vshlq_u32(vreinterpretq_u32_u8(vld1q_u8(p + 16 * v)), vdupq_n_s32(-shift));
		out[v] = vcvtq_f32_u32(vandq_u32(x, vdupq_n_u32((uint32_t)mask)));
	}
}

INLINE void run_f16(const uint8_t *p, VEC out[4])
{
	UNROLL(4)
	for (int v = 0; v < 4; v++)
		out[v] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8 * v)));
}

INLINE void run_bf16(const uint8_t *p, VEC out[4])
{
	UNROLL(4)
	for (int v = 0; v < 4; v++)
		out[v] = vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p + 8 * v)), 16));
}

#include "kernel/lanes.h"

void arm_neon_install(struct kernels *k)
{
	lanes_install(k);
}
