/* x86_avx2_int8: the int8 kernels for AVX2 without VNNI.
 *
 * vpmaddubsw multiplies u8 by s8 and adds pairs in 16 bits with saturation, so a format's numbers decide how many of
 * its sums fit there before they are widened, with activations of at most 127 in magnitude:
 *
 *     4 bits    16·15·127 = 30,480 < 2¹⁵         all 16 products that a lane collects over a block
 *     5 bits     8·31·127 = 31,496               half a block
 *     6 bits     4·63·127 = 32,004               two groups of four; Q6_K's scales (words) widen them
 *     8 bits    2·128·127 = 32,512               one: |w|·(q with w's sign), w = u − 128; then
 *                                                Σ u·q = Σ w·q + 128·Σ q
 *                                                (IQ4_XS: Σ w·q, which its scales widen)
 *
 * With many rows a panel's blocks are first opened into the nearest cache, at most SLICE of them at a time: scales as
 * floats, a byte for each number. Fewer rows read the panel as it lies.
 *
 * A tile is 4 rows × 16 columns: 8 sums. What limits it is how many instructions begin in a cycle, not how many
 * multiply: the other thread of a core may take half of them. */
enum { ROWS = 4, SLICE = 24, OPENED_LEAST = 24 /* rows */ };

#include "kernel/int8_256.h"

#define PIN(v) __asm__("" : "+x"(v))

struct opened {
	float d[PANEL_ROWS], o[PANEL_ROWS];
	uint8_t q[GROUPS][4 * PANEL_ROWS];               /* u; of bytes u − 128 */
	int16_t scale[2][2 * PANEL_ROWS];                /* with halves: of each, twice */
	int16_t zero[2 * PANEL_ROWS];                    /* Q6_K: −32 times the scales of both halves; Q2_K: minima */
};

/* A block of 16 columns: opened (u), or in its panel (b). */
struct columns {
	bool opened;
	const uint8_t *b;
	const struct opened *u;
};

INLINE __m256i get(const void *p) { return _mm256_load_si256(p); }

INLINE const struct q8_block *row_at(const uint8_t *a, size_t a_ld, size_t i) { return (const void *)(a + i * a_ld); }

/* The numbers of group g, columns 8h … 8h+7, as bytes: those of 8 bits signed. */
INLINE __m256i group(const enum dtype t, const struct columns w, const unsigned g, const size_t h)
{
	if (w.opened)
		return get(w.u->q[g] + 32 * h);
	__m256i u = numbers(t, w.b, g, h);
	return panel_is_byte(t) ? _mm256_xor_si256(u, _mm256_set1_epi8((char)128)) : u;
}

/* Without this the compiler keeps some of the sums in memory. */
INLINE void pin(const size_t m, __m256i n[ROWS][HALVES])
{
	UNROLL(4)
	for (size_t i = 0; i < m; i++) {
		PIN(n[i][0]);
		PIN(n[i][1]);
	}
}

/* n[i][h] = Σ u·q over groups from … to−1 in 16 bits: the dword of a column holds two parts of it. */
INLINE void narrow_sums(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const struct columns w,
                        const unsigned from, const unsigned to, __m256i n[ROWS][HALVES])
{
	UNROLL(8)
	for (unsigned g = from; g < to; g++) {
		__m256i u[HALVES] = { group(t, w, g, 0), group(t, w, g, 1) };
		UNROLL(4)
		for (size_t i = 0; i < m; i++) {
			__m256i y = four(row_at(a, a_ld, i)->q, g);
			UNROLL(2)
			for (size_t h = 0; h < HALVES; h++) {
				__m256i p = _mm256_maddubs_epi16(u[h], y);
				n[i][h] = g == from ? p : _mm256_add_epi16(n[i][h], p);
			}
		}
		pin(m, n);
	}
}

/* Both parts of a column as one. */
INLINE __m256i widen(__m256i x)
{
	return _mm256_madd_epi16(x, _mm256_set1_epi16(1));
}

/* Of 4 and 5 bits. */
INLINE void sums_of_few_bits(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const struct columns w,
                             __m256i n[ROWS][HALVES])
{
	const unsigned fit = panel_has_fifth(t) ? GROUPS / 2 : GROUPS;
	__m256i s[ROWS][HALVES];

	narrow_sums(t, m, a, a_ld, w, 0, fit, n);
	UNROLL(4)
	for (size_t i = 0; i < m; i++)
		UNROLL(2)
		for (size_t h = 0; h < HALVES; h++)
			n[i][h] = widen(n[i][h]);
	if (fit == GROUPS)
		return;
	narrow_sums(t, m, a, a_ld, w, fit, GROUPS, s);
	UNROLL(4)
	for (size_t i = 0; i < m; i++)
		UNROLL(2)
		for (size_t h = 0; h < HALVES; h++)
			n[i][h] = _mm256_add_epi32(n[i][h], widen(s[i][h]));
}

/* The same 16 bits twice in each dword. */
INLINE __m256i twice(__m256i x)
{
	return _mm256_blend_epi16(x, _mm256_slli_epi32(x, 16), 0xaa);
}

INLINE __m256i half_scale(const uint8_t *b, const size_t half, const size_t h)
{
	return twice(bytes_8(b + half * PANEL_ROWS + 8 * h));
}

INLINE __m256i scale_of(const struct columns w, const size_t half, const size_t h)
{
	return w.opened ? get(w.u->scale[half] + 16 * h) : half_scale(w.b, half, h);
}

INLINE __m256i zero_of(const enum dtype t, const struct columns w, const struct q8_block *x, const size_t h)
{
	if (panel_zero(t) == 0)
		return _mm256_setzero_si256();
	return w.opened ? _mm256_madd_epi16(get(w.u->zero + 16 * h), four(x->half, 0)) : zeros_share(t, w.b, x, h);
}

/* Of Q6_K: Σ over both halves of the block of scale·(Σ u·q − 32·Σ q); of Q2_K nothing is taken off. */
INLINE void scaled_sums(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const struct columns w,
                        __m256i n[ROWS][HALVES])
{
	UNROLL(4)
	for (size_t i = 0; i < m; i++)
		UNROLL(2)
		for (size_t h = 0; h < HALVES; h++)
			n[i][h] = zero_of(t, w, row_at(a, a_ld, i), h);
	UNROLL(4)
	for (unsigned g = 0; g < GROUPS; g += 2) {
		UNROLL(4)
		for (size_t i = 0; i < m; i++) {
			const int8_t *q = row_at(a, a_ld, i)->q;
			__m256i y = four(q, g), z = four(q, g + 1);
			UNROLL(2)
			for (size_t h = 0; h < HALVES; h++) {
				__m256i s = _mm256_add_epi16(_mm256_maddubs_epi16(group(t, w, g, h), y),
				                             _mm256_maddubs_epi16(group(t, w, g + 1, h), z));
				n[i][h] = _mm256_add_epi32(n[i][h], _mm256_madd_epi16(s, scale_of(w, g / 4, h)));
			}
		}
		pin(m, n);
	}
}

/* Of Q8_0: Σ w·q, w less 128; of IQ4_XS: Σ over both halves of the block of scale·Σ w·q. */
INLINE void sums_of_bytes(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const struct columns w,
                          __m256i n[ROWS][HALVES])
{
	const bool scaled = panel_has_halves(t);

	UNROLL(4)
	for (size_t i = 0; i < m; i++)
		n[i][0] = n[i][1] =
			scaled ? _mm256_setzero_si256() :
				 _mm256_madd_epi16(four(row_at(a, a_ld, i)->half, 0), _mm256_set1_epi16(128));
	UNROLL(8)
	for (unsigned g = 0; g < GROUPS; g++) {
		__m256i x[HALVES] = { group(t, w, g, 0), group(t, w, g, 1) };
		__m256i magnitude[HALVES] = { _mm256_abs_epi8(x[0]), _mm256_abs_epi8(x[1]) };
		UNROLL(4)
		for (size_t i = 0; i < m; i++) {
			__m256i y = four(row_at(a, a_ld, i)->q, g);
			UNROLL(2)
			for (size_t h = 0; h < HALVES; h++) {
				__m256i p = _mm256_maddubs_epi16(magnitude[h], _mm256_sign_epi8(y, x[h]));
				__m256i sum = scaled ? _mm256_madd_epi16(p, scale_of(w, g / 4, h)) : widen(p);
				n[i][h] = _mm256_add_epi32(n[i][h], sum);
			}
		}
		pin(m, n);
	}
}

INLINE void columns_sums(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const struct columns w,
                         __m256i n[ROWS][HALVES])
{
	if (panel_has_pairs(t) || panel_has_half_mins(t))
		scaled_sums(t, m, a, a_ld, w, n);
	else if (panel_has_halves(t) || panel_is_byte(t))
		sums_of_bytes(t, m, a, a_ld, w, n);
	else
		sums_of_few_bits(t, m, a, a_ld, w, n);
}

INLINE void block_sums(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const uint8_t *b,
                       __m256i n[ROWS][HALVES])
{
	columns_sums(t, m, a, a_ld, (struct columns){ .b = b }, n);
}

/* --- opened panels --- */

INLINE void open_block(const enum dtype t, const uint8_t *head, const uint8_t *b, struct opened *u)
{
	UNROLL(2)
	for (size_t h = 0; h < HALVES; h++) {
		__m256 d, o;
		scales_of(t, head, b, h, &d, &o);
		_mm256_store_ps(u->d + 8 * h, d);
		_mm256_store_ps(u->o + 8 * h, o);
		UNROLL(8)
		for (unsigned g = 0; g < GROUPS; g++)
			_mm256_store_si256((void *)(u->q[g] + 32 * h), group(t, (struct columns){ .b = b }, g, h));
		if (!panel_has_halves(t))
			continue;
		_mm256_store_si256((void *)(u->zero + 16 * h),
		                   panel_has_half_mins(t) ?
		                           min_pairs(t, b, h) :
		                           _mm256_mullo_epi16(scale_pairs(b, h), _mm256_set1_epi16(-32)));
		for (size_t half = 0; half < 2; half++)
			_mm256_store_si256((void *)(u->scale[half] + 16 * h), half_scale(b, half, h));
	}
}

/* m rows × some blocks on top of what C holds, or, at first, of nothing. */
INLINE void strip(const enum dtype t, const size_t m, size_t n, size_t blocks, const uint8_t *a, size_t a_ld,
                  const struct opened *u, float *c, size_t ldc, bool first)
{
	_Alignas(32) float sum[ROWS][PANEL_ROWS] = { 0 };

	for (size_t i = 0; !first && i < m; i++)
		memcpy(sum[i], c + i * ldc, n * sizeof(float));
	for (size_t j = 0; j < blocks; j++, u++, a += KERNEL_Q8_BYTES) {
		__m256i s[ROWS][HALVES];
		columns_sums(t, m, a, a_ld, (struct columns){ true, .u = u }, s);
		__m256 d[HALVES] = { _mm256_load_ps(u->d), _mm256_load_ps(u->d + 8) },
		       o[HALVES] = { _mm256_load_ps(u->o), _mm256_load_ps(u->o + 8) };
		__m256i mins[HALVES] = { get(u->zero), get(u->zero + 16) }; /* of Q2_K */
		add_scaled(t, m, a, a_ld, s, d, o, mins, sum);
	}
	for (size_t i = 0; i < m; i++)
		memcpy(c + i * ldc, sum[i], n * sizeof(float));
}

/* Opened, a block is only of a number of bits: one type stands for all of them. */
#define STRIPS(name, t) \
	static void name(size_t m, size_t n, size_t blocks, const uint8_t *a, size_t a_ld, const struct opened *u, \
	                 float *c, size_t ldc, bool first) \
	{ \
		for (; m >= ROWS; m -= ROWS, a += ROWS * a_ld, c += ROWS * ldc) \
			strip(t, ROWS, n, blocks, a, a_ld, u, c, ldc, first); \
		UNROLL(4) \
		for (size_t i = 1; i < ROWS; i++) \
			if (m == i) \
				strip(t, i, n, blocks, a, a_ld, u, c, ldc, first); \
	}

STRIPS(strips_4_bits, DTYPE_Q4_0)
STRIPS(strips_5_bits, DTYPE_Q5_0)
STRIPS(strips_6_bits, DTYPE_Q6_K)
STRIPS(strips_8_bits, DTYPE_Q8_0)
STRIPS(strips_scaled_bytes, DTYPE_IQ4_XS)
STRIPS(strips_2_bits, DTYPE_Q2_K)

typedef void strips_fn(size_t m, size_t n, size_t blocks, const uint8_t *a, size_t a_ld, const struct opened *u,
                       float *c, size_t ldc, bool first);

INLINE strips_fn *strips_of(const enum dtype t)
{
	return panel_has_pairs(t)     ? strips_6_bits :
	       panel_has_half_mins(t) ? strips_2_bits :
	       panel_has_halves(t)    ? strips_scaled_bytes :
	       panel_is_byte(t)       ? strips_8_bits :
	       panel_has_fifth(t)     ? strips_5_bits :
	                                strips_4_bits;
}

INLINE void opened_tiles(const enum dtype t, size_t m, size_t n, size_t k, const uint8_t *a, size_t a_ld,
                         const uint8_t *panel, float *c, size_t ldc)
{
	_Alignas(64) struct opened u[SLICE];
	const size_t blocks = k / PANEL_BLOCK, slices = (blocks + SLICE - 1) / SLICE;

	for (size_t s = 0, from = 0, to; s < slices; s++, from = to) {
		to = blocks * (s + 1) / slices;
		for (size_t j = from; j < to; j++)
			open_block(t, panel + panel_head_at(t, j), panel + panel_block_at(t, j), &u[j - from]);
		strips_of(t)(m, n, to - from, a + from * KERNEL_Q8_BYTES, a_ld, u, c, ldc, !s);
	}
}

INLINE void product(const enum dtype t, size_t m, size_t n, size_t k, const uint8_t *a, size_t a_ld, const uint8_t *b,
                    float *c, size_t ldc)
{
	if (m < OPENED_LEAST)
		tiles(t, m, n, k, a, a_ld, b, c, ldc);
	else
		opened_tiles(t, m, n, k, a, a_ld, b, c, ldc);
}

Q8_TILE(product)

/* --- activations --- */

INLINE __m256i by_halves(__m256i v, bool max)
{
	__m256i w = _mm256_permute2x128_si256(v, v, 1);

	v = max ? _mm256_max_epu32(v, w) : _mm256_add_epi32(v, w);
	w = _mm256_shuffle_epi32(v, 0x4e);
	v = max ? _mm256_max_epu32(v, w) : _mm256_add_epi32(v, w);
	w = _mm256_shuffle_epi32(v, 0xb1);
	return max ? _mm256_max_epu32(v, w) : _mm256_add_epi32(v, w);
}

INLINE float largest(const __m256 v[4])
{
	__m256i magnitude = _mm256_set1_epi32(0x7fffffff), m = _mm256_setzero_si256();

	UNROLL(4)
	for (int i = 0; i < 4; i++)
		m = _mm256_max_epu32(m, _mm256_and_si256(_mm256_castps_si256(v[i]), magnitude));
	return _mm256_cvtss_f32(_mm256_castsi256_ps(by_halves(m, true)));
}

static void q8_row(const float *x, size_t n, uint8_t *out)
{
	for (size_t at = 0; at < n; at += PANEL_BLOCK, out += KERNEL_Q8_BYTES) {
		struct q8_block *b = (void *)out;
		__m256 v[4];
		__m256i q[4];
		UNROLL(4)
		for (size_t i = 0; i < 4; i++)
			v[i] = _mm256_loadu_ps(x + at + 8 * i);
		float most = largest(v);
		if (most < Q8_NOTHING) {
			memset(b, 0, sizeof(*b));
			continue;
		}
		__m256 inverse = _mm256_set1_ps(127 / most);
		UNROLL(4)
		for (int i = 0; i < 4; i++)
			q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
		/* Packing works within halves of the vector; the dwords are put in order afterwards. */
		__m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
		_mm256_storeu_si256((__m256i *)b->q,
		                    _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
		b->d = most / 127;
		UNROLL(2)
		for (int i = 0; i < 2; i++)
			b->half[i] = (int16_t)_mm256_cvtsi256_si32(
				by_halves(_mm256_add_epi32(q[2 * i], q[2 * i + 1]), false));
		b->s = b->d * (float)(b->half[0] + b->half[1]);
	}
}

/* Σ a·b: |a| times b with a's sign; a pair of these is at most 2·127·127 < 2¹⁵. */
static int32_t dot_s8(const int8_t *a, const int8_t *b, size_t n)
{
	__m256i sum[2] = { _mm256_setzero_si256(), _mm256_setzero_si256() }, one = _mm256_set1_epi16(1);
	int32_t part[8], all = 0;
	size_t at = 0;

	for (; at + 64 <= n; at += 64)
		UNROLL(2)
		for (size_t h = 0; h < 2; h++) {
			__m256i x = _mm256_loadu_si256((const __m256i *)(a + at + 32 * h)),
				y = _mm256_loadu_si256((const __m256i *)(b + at + 32 * h));
			x = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x));
			sum[h] = _mm256_add_epi32(sum[h], _mm256_madd_epi16(x, one));
		}
	_mm256_storeu_si256((__m256i *)part, _mm256_add_epi32(sum[0], sum[1]));
	for (size_t i = 0; i < 8; i++)
		all += part[i];
	for (; at < n; at++)
		all += (int16_t)a[at] * (int16_t)b[at];
	return all;
}

void x86_avx2_int8_install(struct kernels *k)
{
	k->q8_row = q8_row;
	k->q8_tile = q8_tile;
	k->dot_s8 = dot_s8;
}
