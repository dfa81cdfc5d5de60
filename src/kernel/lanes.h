/* lanes: the kernels of every vector instruction set, written once over a handful of primitives.
 *
 * A file such as x86_avx2.c includes kernel/unroll.h, defines the primitives below, includes this text, and installs.
 * The text is compiled with that file's instruction set; everything in it is static. The primitives:
 *
 *     VEC, LANES           a vector of f32 and its length: 4, 8 or 16
 *     MR, NR               the micro-tile; NR a multiple of 16
 *     PANELS_AT_ONCE       panels of 16 that one row is multiplied with side by side
 *     PIN(v)               an empty asm statement that keeps v in a register
 *     v_zero v_set1 v_load v_store v_add v_sub v_mul v_div v_sqrt v_abs v_copysign(magnitude, sign)
 *     v_fma(a, b, c)       a·b + c           v_fnma(a, b, c)   c − a·b
 *     v_max v_min          when one operand is NaN: the second
 *     v_load_n v_store_n   the first n < LANES numbers; loaded lanes beyond are zero; v_first(v, n): zeroes them
 *     v_seen(bits, v, u)   v in the lanes whose bit is set, u in the others
 *     v_shift_exponent(p, n)  p·2^n, n in the low bits of a float beside EXP_MAGIC
 *     v_sum v_largest      over the lanes, by halves
 *     v_transpose(x)       x[i] lane j ↔ x[j] lane i, LANES vectors
 *     f16_one(p)           the f16 at p, as float
 *     struct run           16 integers; run_nibbles(p, shift), run_signed(p)
 *     run_fifth(q, bits)   adds 16 where the bit is set; run_pairs(q, p, shift): adds 16·(p[i] >> shift & 3)
 *     bit_of_bytes(p, bit) 16 bits
 *     run_affine           (q, d, m, out): d·q + m
 *     run_lookup           (q, map, s, out): map[q]·s, of 16 numbers; v_as_f16(v), v_as_bf16(v): rounded to those
 *     run_f16 run_bf16     (p, out): 16 numbers
 *     run_dwords           (p, shift, mask, out): 16 dwords, each shifted right and masked, as floats
 *
 * Sums over a row: four vectors by turns, then (s0 + s1) + (s2 + s3), then the lanes by halves. */

#include <string.h>

#include "kernel/exp64.h"
#include "kernel/vecmath.h"
#include "quant/nf4.h"
#include "quant/panels.h"
#include "quant/quant.h"

#ifndef LANES
#error "kernel/lanes.h wants its primitives defined first"
#endif

enum { VECS = NR / LANES, RUN_VECS = QUANT_RUN / LANES, SUM_PIECE = 65536 };

/* `body` for every whole vector at i with c = LANES, then for the c numbers left over. */
#define EACH(n, ...) \
	do { \
		size_t i = 0; \
		for (; i + LANES <= (n); i += LANES) { \
			const size_t c = LANES; \
			__VA_ARGS__ \
		} \
		if (i < (n)) { \
			const size_t c = (n) - i; \
			__VA_ARGS__ \
		} \
	} while (0)

INLINE VEC v_get(const float *p, size_t c)
{
	return c == LANES ? v_load(p) : v_load_n(p, c);
}

INLINE void v_put(float *p, size_t c, VEC v)
{
	if (c == LANES)
		v_store(p, v);
	else
		v_store_n(p, c, v);
}

/* --- gemm --- */

INLINE size_t lanes_of(size_t n, size_t v)
{
	return n - v * LANES < LANES ? n - v * LANES : LANES;
}

/* B's numbers for one k: groups of 16 columns, `next` floats apart. */
struct columns {
	const float *at;
	size_t step, next;
};

/* m rows × vs vectors, n columns in all. Rows are reached from every third by one stride: few pointers, one index
 * register. */
INLINE void tile(const size_t m, const size_t vs, size_t n, size_t k, const float *a, size_t a_row, size_t a_col,
                 struct columns b, float *c, size_t ldc, bool accumulate)
{
	VEC s[MR][VECS], w[VECS];
	const float *p[(MR + 2) / 3];

	UNROLL(16)
	for (size_t i = 0; i < m; i++)
		UNROLL(4)
		for (size_t v = 0; v < vs; v++)
			s[i][v] = accumulate ? v_get(c + i * ldc + v * LANES, lanes_of(n, v)) : v_zero();
	UNROLL(6)
	for (size_t i = 0; i < (m + 2) / 3; i++)
		p[i] = a + 3 * i * a_row;
	for (; k; k--, b.at += b.step) {
		UNROLL(4)
		for (size_t v = 0; v < vs; v++)
			w[v] = v_load(b.at + v * LANES / PANEL_ROWS * b.next + v * LANES % PANEL_ROWS);
		UNROLL(16)
		for (size_t i = 0; i < m; i++) {
			VEC x = v_set1(p[i / 3][i % 3 * a_row]);
			UNROLL(4)
			for (size_t v = 0; v < vs; v++)
				s[i][v] = v_fma(x, w[v], s[i][v]);
		}
		/* Without this the compiler keeps some of the sums in memory. */
		UNROLL(16)
		for (size_t i = 0; i < m; i++)
			UNROLL(4)
			for (size_t v = 0; v < vs; v++)
				PIN(s[i][v]);
		UNROLL(6)
		for (size_t i = 0; i < (m + 2) / 3; i++)
			p[i] += a_col;
	}
	UNROLL(16)
	for (size_t i = 0; i < m; i++)
		UNROLL(4)
		for (size_t v = 0; v < vs; v++)
			v_put(c + i * ldc + v * LANES, lanes_of(n, v), s[i][v]);
}

/* The compiler makes one loop for each number of rows and of vectors. */
INLINE void tile_rows(const size_t vs, size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col,
                      struct columns b, float *c, size_t ldc, bool accumulate)
{
	UNROLL(16)
	for (size_t i = 1; i <= MR; i++)
		if (m == i)
			tile(i, vs, n, k, a, a_row, a_col, b, c, ldc, accumulate);
}

INLINE void tile_any(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, struct columns b,
                     float *c, size_t ldc, bool accumulate)
{
	size_t vs = (n + LANES - 1) / LANES;

	UNROLL(4)
	for (size_t v = 1; v <= VECS; v++)
		if (vs == v)
			tile_rows(v, m, n, k, a, a_row, a_col, b, c, ldc, accumulate);
}

static void gemm_tile(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b,
                      float *c, size_t ldc, bool accumulate)
{
	tile_any(m, n, k, a, a_row, a_col, (struct columns){ b, NR, PANEL_ROWS }, c, ldc, accumulate);
}

static void tile_in_place(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b,
                          size_t step, size_t next, float *c, size_t ldc, bool accumulate)
{
	tile_any(m, n, k, a, a_row, a_col, (struct columns){ b, step, next }, c, ldc, accumulate);
}

/* --- runs of 16 numbers of any storage type --- */

INLINE uint16_t read_u16(const uint8_t *p)
{
	uint16_t x;
	memcpy(&x, p, sizeof(x));
	return x;
}

/* dtypes[t].bytes and .block as constants of the compiler. */
INLINE size_t bytes_of(const enum dtype t)
{
	return t == DTYPE_F32                    ? 4 :
	       t == DTYPE_F16 || t == DTYPE_BF16 ? 2 :
	       t == DTYPE_Q4_0                   ? 18 :
	       t == DTYPE_Q4_1                   ? 20 :
	       t == DTYPE_Q5_0                   ? 22 :
	       t == DTYPE_Q5_1                   ? 24 :
	       t == DTYPE_Q8_0                   ? 34 :
	       t == DTYPE_Q4_K                   ? 144 :
	       t == DTYPE_Q5_K                   ? 176 :
	       t == DTYPE_Q6_K                   ? 210 :
	       nf4_is_nested(t)                  ? 33 :
	                                           36;
}

INLINE size_t block_of(const enum dtype t)
{
	return t <= DTYPE_BF16 ? 1 : t <= DTYPE_Q8_0 ? 32 : nf4_is(t) ? NF4_BLOCK : 256;
}

INLINE void k_affine(const uint8_t *b, size_t j, struct run q, VEC out[RUN_VECS])
{
	int scale, min;

	k_scale_min(b + 4, (int)j, &scale, &min);
	run_affine(q, f16_one(b) * (float)scale, -(f16_one(b + 2) * (float)min), out);
}

/* The product is rounded before it is rounded to what the matrix was quantized from, as bitsandbytes does. */
INLINE void nf4_run(const enum dtype t, const uint8_t *row, size_t at, VEC out[RUN_VECS])
{
	const size_t b = at / NF4_BLOCK, in32 = at % 32, half = at % NF4_BLOCK / 32;
	const uint8_t *q = row + dtype_head(t) + b * bytes_of(t) + (nf4_is_nested(t) ? 1 : 4) + half * QUANT_RUN;
	const enum nf4_rounding how = nf4_rounding(row);

	run_lookup(run_nibbles(q, in32 / QUANT_RUN ? 4 : 0), nf4_map(t), nf4_scale(t, row, b), out);
	UNROLL(4)
	for (size_t v = 0; how != NF4_F32 && v < RUN_VECS; v++)
		out[v] = how == NF4_F16 ? v_as_f16(out[v]) : v_as_bf16(out[v]);
}

/* The layouts stand in src/quant/quant_*.c. d·q − 8·d is exact like d·(q − 8): see quant/quant.h. */
INLINE void block_run(const enum dtype t, const uint8_t *row, size_t at, VEC out[RUN_VECS])
{
	size_t in32 = at % 32, high = in32 / QUANT_RUN, in256 = at % 256, j = in256 / 32;
	const uint8_t *b = row + at / block_of(t) * bytes_of(t);
	int shift = high ? 4 : 0, j_shift = j % 2 ? 4 : 0;

	if (t == DTYPE_Q4_0)
		run_affine(run_nibbles(b + 2, shift), f16_one(b), -8 * f16_one(b), out);
	else if (t == DTYPE_Q4_1)
		run_affine(run_nibbles(b + 4, shift), f16_one(b), f16_one(b + 2), out);
	else if (t == DTYPE_Q5_0)
		run_affine(run_fifth(run_nibbles(b + 6, shift), read_u16(b + 2 + 2 * high)), f16_one(b),
		           -16 * f16_one(b), out);
	else if (t == DTYPE_Q5_1)
		run_affine(run_fifth(run_nibbles(b + 8, shift), read_u16(b + 4 + 2 * high)), f16_one(b), f16_one(b + 2),
		           out);
	else if (t == DTYPE_Q8_0)
		run_affine(run_signed(b + 2 + QUANT_RUN * high), f16_one(b), 0, out);
	else if (t == DTYPE_Q4_K)
		k_affine(b, j, run_nibbles(b + 16 + j / 2 * 32 + in32, j_shift), out);
	else if (t == DTYPE_Q5_K)
		k_affine(b, j,
		         run_fifth(run_nibbles(b + 48 + j / 2 * 32 + in32, j_shift),
		                   bit_of_bytes(b + 16 + in32, (int)j)),
		         out);
	else if (t == DTYPE_Q6_K) {
		size_t half = in256 / 128, g = at % 128 / 32;
		struct run q = run_nibbles(b + half * 64 + g % 2 * 32 + in32, g / 2 ? 4 : 0);
		float d = f16_one(b + 208) * (float)(int8_t)b[192 + in256 / QUANT_RUN];
		run_affine(run_pairs(q, b + 128 + half * 32 + in32, (int)(2 * g)), d, -32 * d, out);
	} else {
		nf4_run(t, row, at, out);
	}
}

/* Numbers at … at+15 of a row; only plain types may have fewer than 16 left, the lanes beyond are zero. */
INLINE void run_read(const enum dtype t, const uint8_t *row, size_t at, size_t left, VEC out[RUN_VECS])
{
	uint8_t some[QUANT_RUN * sizeof(float)] = { 0 };
	const uint8_t *p = row + at * bytes_of(t);

	if (t != DTYPE_F32 && t != DTYPE_F16 && t != DTYPE_BF16) {
		block_run(t, row, at, out);
		return;
	}
	if (left < QUANT_RUN) {
		memcpy(some, p, left * bytes_of(t));
		p = some;
	}
	if (t == DTYPE_F16)
		run_f16(p, out);
	else if (t == DTYPE_BF16)
		run_bf16(p, out);
	else
		UNROLL(4)
		for (size_t v = 0; v < RUN_VECS; v++)
			out[v] = v_load((const float *)p + v * LANES);
}

/* --- panels --- */

/* LANES columns of a panel from n ≤ LANES rows of w; numbers k0+q … of each. */
INLINE void corner_pack(const enum dtype t, const uint8_t *w, size_t row_bytes, size_t n, size_t at, size_t some,
                        float *out)
{
	VEC x[RUN_VECS][LANES], r[RUN_VECS];

	UNROLL(16)
	for (size_t j = 0; j < LANES; j++) {
		if (j < n)
			run_read(t, w + j * row_bytes, at, some, r);
		UNROLL(4)
		for (size_t v = 0; v < RUN_VECS; v++)
			x[v][j] = j < n ? r[v] : v_zero();
	}
	UNROLL(4)
	for (size_t v = 0; v < RUN_VECS; v++) {
		v_transpose(x[v]);
		UNROLL(16)
		for (size_t i = 0; i < LANES; i++)
			if (v * LANES + i < some)
				v_store(out + (v * LANES + i) * NR, x[v][i]);
	}
}

INLINE void rows_pack(const enum dtype t, const uint8_t *w, size_t row_bytes, size_t n, size_t k0, size_t k, float *out)
{
	for (size_t h = 0; h < NR; h += LANES, w += LANES * row_bytes) {
		size_t rows = n < h ? 0 : n - h < LANES ? n - h : LANES, q = 0;
		for (; q + QUANT_RUN <= k && rows == LANES; q += QUANT_RUN)
			corner_pack(t, w, row_bytes, LANES, k0 + q, QUANT_RUN, out + q * NR + h);
		for (; q < k; q += QUANT_RUN)
			corner_pack(t, w, row_bytes, rows, k0 + q, k - q < QUANT_RUN ? k - q : QUANT_RUN,
			            out + q * NR + h);
	}
}

INLINE void cols_pack(const enum dtype t, const uint8_t *row, size_t row_bytes, size_t k, size_t j0, size_t n,
                      float *out)
{
	VEC r[RUN_VECS];

	for (; k; k--, row += row_bytes)
		UNROLL(2)
		for (size_t h = 0; h < NR; h += QUANT_RUN, out += QUANT_RUN) {
			size_t some = n < h ? 0 : n - h < QUANT_RUN ? n - h : QUANT_RUN;
			if (some)
				run_read(t, row, j0 + h, some, r);
			UNROLL(4)
			for (size_t v = 0; v < RUN_VECS; v++)
				v_store(out + v * LANES, some ? r[v] : v_zero());
		}
}

#define FOR_DTYPES(X) X(F32) X(F16) X(BF16) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q8_0) X(Q4_K) X(Q5_K) X(Q6_K)
#define FOR_FLOAT4(X) X(NF4) X(FP4) X(NF4_DQ) X(FP4_DQ)

/* The other types, whose files read them. */
static void rows_pack_slowly(enum dtype t, const uint8_t *w, size_t row_bytes, size_t n, size_t k0, size_t k,
                             float *out)
{
	float run[QUANT_RUN];

	memset(out, 0, k * NR * sizeof(float));
	for (size_t j = 0; j < n; j++)
		for (size_t q = 0, some; q < k; q += some) {
			some = k - q < QUANT_RUN ? k - q : QUANT_RUN;
			dtypes[t].part(w + j * row_bytes, k0 + q, run, some);
			for (size_t i = 0; i < some; i++)
				out[(q + i) * NR + j] = run[i];
		}
}

static void cols_pack_slowly(enum dtype t, const uint8_t *row, size_t row_bytes, size_t k, size_t j0, size_t n,
                             float *out)
{
	memset(out, 0, k * NR * sizeof(float));
	for (; k; k--, row += row_bytes, out += NR)
		dtypes[t].part(row, j0, out, n);
}

static void pack_rows(enum dtype t, const void *w, size_t row_bytes, size_t n, size_t k0, size_t k, float *out)
{
	switch (t) {
#define X(T) case DTYPE_##T: rows_pack(DTYPE_##T, w, row_bytes, n, k0, k, out); break;
	FOR_DTYPES(X)
	FOR_FLOAT4(X)
#undef X
	default: rows_pack_slowly(t, w, row_bytes, n, k0, k, out);
	}
}

static void pack_cols(enum dtype t, const void *w, size_t row_bytes, size_t k, size_t j0, size_t n, float *out)
{
	switch (t) {
#define X(T) case DTYPE_##T: cols_pack(DTYPE_##T, w, row_bytes, k, j0, n, out); break;
	FOR_DTYPES(X)
	FOR_FLOAT4(X)
#undef X
	default: cols_pack_slowly(t, w, row_bytes, k, j0, n, out);
	}
}

/* --- from panels of 16 rows: no transposing, lanes are columns --- */

/* A panel's block and the head that it may share. */
struct panel_block {
	const uint8_t *head, *at;
};

INLINE struct panel_block panel_block(const enum dtype t, const uint8_t *panel, size_t i)
{
	return (struct panel_block){ panel + panel_head_at(t, i), panel + panel_block_at(t, i) };
}

INLINE void run_bytes(const uint8_t *p, VEC out[RUN_VECS])
{
	run_affine(run_signed(p), 1, 0, out);
}

/* Scale and offset of a block's 16 columns, of K-quants; half: of numbers 16 … 31. */
INLINE void headed_scales(const enum dtype t, const struct panel_block b, const size_t half, VEC d[RUN_VECS],
                          VEC m[RUN_VECS])
{
	VEC scale[RUN_VECS], min[RUN_VECS];

	if (panel_is_wide(t))
		UNROLL(4)
		for (size_t v = 0; v < RUN_VECS; v++)
			d[v] = v_load((const float *)b.head + v * LANES);
	else
		run_f16(b.head, d);
	run_bytes(b.at + (panel_has_halves(t) ? half * PANEL_ROWS : 0), scale);
	const bool least = !panel_has_halves(t) || panel_has_half_mins(t);
	if (least) {
		run_f16(b.head + 2 * PANEL_ROWS, m);
		run_bytes(b.at + (panel_has_half_mins(t) ? 2 + half : 1) * PANEL_ROWS, min);
	}
	UNROLL(4)
	for (size_t v = 0; v < RUN_VECS; v++) {
		d[v] = v_mul(d[v], scale[v]);
		m[v] = least ? v_mul(v_set1(-1), v_mul(m[v], min[v])) : v_mul(v_set1(-panel_zero(t)), d[v]);
	}
}

/* The scales that are wanted from number k of the block on, if others than before. */
INLINE void panel_scales(const enum dtype t, const struct panel_block b, const size_t k, VEC d[RUN_VECS],
                         VEC m[RUN_VECS])
{
	if (panel_plain_bytes(t) || (k != 0 && !(panel_has_halves(t) && k == QUANT_RUN)))
		return;
	if (panel_has_head(t)) {
		headed_scales(t, b, k / QUANT_RUN, d, m);
		return;
	}
	run_f16(b.at, d);
	if (panel_has_min(t))
		run_f16(b.at + 2 * PANEL_ROWS, m);
	else
		UNROLL(4)
		for (size_t v = 0; v < RUN_VECS; v++)
			m[v] = v_mul(v_set1(-panel_zero(t)), d[v]);
}

/* Number k of a block's 16 columns. */
INLINE void panel_numbers(const enum dtype t, const uint8_t *b, const size_t k, const VEC d[RUN_VECS],
                          const VEC m[RUN_VECS], VEC out[RUN_VECS])
{
	const size_t g = k / 4, at = k % 4, line = 4 * PANEL_ROWS;
	const bool high = panel_has_fifth(t) || panel_has_pairs(t);
	VEC h[RUN_VECS];

	if (panel_plain_bytes(t)) {
		run_read(t, b, k * PANEL_ROWS, PANEL_ROWS, out);
		return;
	}
	if (panel_is_byte(t))
		run_dwords(b + panel_q_at(t) + g * line, (int)(8 * at), 255, out);
	else
		run_dwords(b + panel_q_at(t) + g % 4 * line, (int)(8 * at + g / 4 * 4), 15, out);
	if (panel_has_fifth(t))
		run_dwords(b + panel_h_at(t), (int)(8 * at + g), 1, h);
	if (panel_has_pairs(t))
		run_dwords(b + panel_h_at(t) + g / 4 * line, (int)(8 * at + g % 4 * 2), 3, h);
	UNROLL(4)
	for (size_t v = 0; v < RUN_VECS; v++) {
		if (high)
			out[v] = v_fma(v_set1(16), h[v], out[v]);
		out[v] = v_fma(d[v], out[v], m[v]);
	}
}

INLINE void panels_pack(const enum dtype t, const uint8_t *w, size_t bytes, size_t n, size_t k0, size_t k, float *out)
{
	VEC d[RUN_VECS], m[RUN_VECS], x[RUN_VECS];

	for (size_t h = 0; h < NR; h += PANEL_ROWS, w += bytes)
		for (size_t q = 0; q < k; q += PANEL_BLOCK) {
			const struct panel_block b = panel_block(t, w, (k0 + q) / PANEL_BLOCK);
			UNROLL(32)
			for (size_t i = 0; i < PANEL_BLOCK; i++) {
				if (h < n) {
					panel_scales(t, b, i, d, m);
					panel_numbers(t, b.at, i, d, m, x);
				}
				UNROLL(4)
				for (size_t v = 0; v < RUN_VECS; v++)
					v_store(out + (q + i) * NR + h + v * LANES, h < n ? x[v] : v_zero());
			}
		}
}

/* m rows times P panels side by side: enough chains to hide an addition's latency. */
INLINE void panels_dot(const enum dtype t, const size_t m, const size_t P, size_t n, size_t k, const float *x,
                       size_t x_ld, const uint8_t *w, size_t bytes, float *c, size_t ldc)
{
	VEC s[KERNEL_FEW][PANELS_AT_ONCE][RUN_VECS], d[PANELS_AT_ONCE][RUN_VECS], o[PANELS_AT_ONCE][RUN_VECS],
		y[RUN_VECS];

	UNROLL(4)
	for (size_t i = 0; i < m; i++)
		UNROLL(4)
		for (size_t p = 0; p < P; p++)
			UNROLL(4)
			for (size_t v = 0; v < RUN_VECS; v++)
				s[i][p][v] = v_zero();
	for (size_t q = 0; q < k; q += PANEL_BLOCK) {
		const struct panel_block b = panel_block(t, w, q / PANEL_BLOCK);
		UNROLL(32)
		for (size_t j = 0; j < PANEL_BLOCK; j++)
			UNROLL(4)
			for (size_t p = 0; p < P; p++) {
				panel_scales(t, (struct panel_block){ b.head + p * bytes, b.at + p * bytes }, j, d[p],
			                     o[p]);
				panel_numbers(t, b.at + p * bytes, j, d[p], o[p], y);
				UNROLL(4)
				for (size_t i = 0; i < m; i++)
					UNROLL(4)
					for (size_t v = 0; v < RUN_VECS; v++)
						s[i][p][v] = v_fma(v_set1(x[i * x_ld + q + j]), y[v], s[i][p][v]);
			}
	}
	UNROLL(4)
	for (size_t i = 0; i < m; i++)
		UNROLL(4)
		for (size_t p = 0; p < P; p++)
			UNROLL(4)
			for (size_t v = 0; v < RUN_VECS; v++) {
				size_t at = p * PANEL_ROWS + v * LANES, some = n < at         ? 0 :
		                                                               n - at < LANES ? n - at :
		                                                                                LANES;
				if (some)
					v_put(c + i * ldc + at, some, s[i][p][v]);
			}
}

INLINE void panels_rows(const enum dtype t, const size_t m, size_t n, size_t k, const float *x, size_t x_ld,
                        const uint8_t *w, size_t bytes, float *c, size_t ldc)
{
	const size_t P = m == 1 ? PANELS_AT_ONCE : (PANELS_AT_ONCE + 1) / 2, step = P * PANEL_ROWS;

	for (; n > step - PANEL_ROWS; w += P * bytes, c += step, n = n < step ? 0 : n - step)
		panels_dot(t, m, P, n, k, x, x_ld, w, bytes, c, ldc);
	for (; n; w += bytes, c += PANEL_ROWS, n = n < PANEL_ROWS ? 0 : n - PANEL_ROWS)
		panels_dot(t, m, 1, n, k, x, x_ld, w, bytes, c, ldc);
}

/* Forms of panels alone: rows of these types are read slowly. */
#define FOR_FORMS(X) FOR_DTYPES(X) X(IQ4_XS) X(Q2_K)

static void pack_panels(enum dtype t, const void *w, size_t bytes, size_t n, size_t k0, size_t k, float *out)
{
	switch (t) {
#define X(T) case DTYPE_##T: panels_pack(DTYPE_##T, w, bytes, n, k0, k, out); break;
	FOR_FORMS(X)
#undef X
	default: BUG("no panels of dtype %d", (int)t);
	}
}

static void panel_rows(enum dtype t, size_t m, size_t n, size_t k, const float *x, size_t x_ld, const void *w,
                       size_t bytes, float *c, size_t ldc)
{
	switch (t * 4 + m) {
#define X(T) \
	case DTYPE_##T * 4 + 1: panels_rows(DTYPE_##T, 1, n, k, x, x_ld, w, bytes, c, ldc); break; \
	case DTYPE_##T * 4 + 2: panels_rows(DTYPE_##T, 2, n, k, x, x_ld, w, bytes, c, ldc); break; \
	case DTYPE_##T * 4 + 3: panels_rows(DTYPE_##T, 3, n, k, x, x_ld, w, bytes, c, ldc); break;
	FOR_FORMS(X)
#undef X
	default: BUG("no product of %zu rows with panels of dtype %d", m, (int)t);
	}
}

#include "kernel/lanes_sums.h"

/* --- vectors --- */

INLINE VEC v_exp(VEC x)
{
	x = v_min(v_set1(EXP_HIGH), v_max(v_set1(EXP_LOW), x));
	VEC shifted = v_fma(x, v_set1(EXP_LOG2E), v_set1(EXP_MAGIC)), n = v_sub(shifted, v_set1(EXP_MAGIC));
	VEC r = v_fnma(n, v_set1(EXP_LN2_LOW), v_fnma(n, v_set1(EXP_LN2_HIGH), x));
	VEC q = v_fma(v_set1(EXP_C6), r, v_set1(EXP_C5));

	q = v_fma(q, r, v_set1(EXP_C4));
	q = v_fma(q, r, v_set1(EXP_C3));
	q = v_fma(q, r, v_set1(EXP_C2));
	return v_shift_exponent(v_fma(v_fma(q, r, v_set1(1)), r, v_set1(1)), shifted);
}

INLINE VEC v_tanh(VEC x)
{
	VEC a = v_min(v_set1(TANH_LIMIT), v_abs(x)), one = v_set1(1);

	return v_copysign(v_sub(one, v_div(v_set1(2), v_add(v_exp(v_add(a, a)), one))), x);
}

/* e/(e + 2), e = exp(2x) − 1 = 2^n·(exp(r) − 1) + (2^n − 1): nothing cancels where x is small. */
INLINE VEC v_tanh_fine(VEC x)
{
	VEC a = v_min(v_set1(TANH_LIMIT), v_abs(x)), one = v_set1(1);

	a = v_add(a, a);
	VEC shifted = v_fma(a, v_set1(EXP_LOG2E), v_set1(EXP_MAGIC)), n = v_sub(shifted, v_set1(EXP_MAGIC));
	VEC r = v_fnma(n, v_set1(EXP_LN2_LOW), v_fnma(n, v_set1(EXP_LN2_HIGH), a));
	VEC q = v_fma(v_set1(EXP_C6), r, v_set1(EXP_C5));

	q = v_fma(q, r, v_set1(EXP_C4));
	q = v_fma(q, r, v_set1(EXP_C3));
	q = v_fma(q, r, v_set1(EXP_C2));
	VEC power = v_shift_exponent(one, shifted);
	VEC e = v_fma(power, v_mul(v_fma(q, r, one), r), v_sub(power, one));
	return v_copysign(v_div(e, v_add(e, v_set1(2))), x);
}

INLINE VEC v_sigmoid(VEC x)
{
	return v_div(v_set1(1), v_add(v_set1(1), v_exp(v_sub(v_zero(), x))));
}

#include "kernel/lanes_dot.h"

static void axpy(float *y, float a, const float *x, size_t n)
{
	EACH(n, v_put(y + i, c, v_fma(v_set1(a), v_get(x + i, c), v_get(y + i, c))););
}

static void add(float *y, const float *a, const float *b, size_t n)
{
	EACH(n, v_put(y + i, c, v_add(v_get(a + i, c), v_get(b + i, c))););
}

static void scale(float *y, const float *x, float a, size_t n)
{
	EACH(n, v_put(y + i, c, v_mul(v_get(x + i, c), v_set1(a))););
}

static double sum_squares(const float *x, size_t n)
{
	double sum = 0;

	for (size_t at = 0; at < n; at += SUM_PIECE) {
		size_t some = n - at < SUM_PIECE ? n - at : SUM_PIECE;
		sum += dot(x + at, x + at, some);
	}
	return sum;
}

static void exp_sum(float *y, const float *x, float most, size_t n, float *sum)
{
	VEC s = v_zero(), m = v_set1(most);

	EACH(n,
		v_put(y + i, c, v_exp(v_sub(v_get(x + i, c), m)));
		s = v_add(s, v_get(y + i, c));
	);
	*sum = v_sum(s);
}

/* The last vector overlaps the one before: a maximum does not mind. */
static float max(const float *x, size_t n)
{
	float m = x[0];

	if (n < LANES) {
		for (size_t i = 1; i < n; i++)
			m = x[i] > m ? x[i] : m;
		return m;
	}
	VEC v = v_load(x);
	for (size_t i = LANES; i + LANES <= n; i += LANES)
		v = v_max(v_load(x + i), v);
	return v_largest(v_max(v_load(x + n - LANES), v));
}

/* --- attention; one row's scores stay in registers --- */

enum { SCORE_VECS = KERNEL_SCORES / LANES };

INLINE VEC seen_or(const bool whole, uint64_t word, const size_t v, VEC x, VEC other)
{
	return whole ? x : v_seen((uint32_t)(word >> (v * LANES)), x, other);
}

INLINE VEC score_of(const bool capped, VEC product, float by, float cap)
{
	VEC z = v_mul(product, v_set1(by));

	return capped ? v_mul(v_set1(cap), v_tanh_fine(v_div(z, v_set1(cap)))) : z;
}

/* NaN among the scores does not enter the largest, but its exponential and the sum. */
INLINE void soften_row(const bool whole, const bool capped, float *s, uint64_t word, float by, float cap, float *most,
                       double *sum, float *o, size_t D)
{
	VEC x[SCORE_VECS], largest = v_set1(*most), total = v_zero();

	UNROLL(16)
	for (size_t v = 0; v < SCORE_VECS; v++) {
		x[v] = seen_or(whole, word, v, score_of(capped, v_load(s + v * LANES), by, cap), v_set1(*most));
		largest = v_max(x[v], largest);
	}
	float m = v_largest(largest);
	if (m > *most) {
		float shrink = vec_expf(*most - m);
		scale(o, o, shrink, D);
		*sum *= shrink;
		*most = m;
	}
	UNROLL(16)
	for (size_t v = 0; v < SCORE_VECS; v++) {
		x[v] = seen_or(whole, word, v, v_exp(v_sub(x[v], v_set1(*most))), v_zero());
		total = v_add(total, x[v]);
		v_store(s + v * LANES, x[v]);
	}
	*sum += v_sum(total);
}

INLINE void soften_rows(const bool capped, size_t m, float *s, const uint64_t *seen, float by, float cap, float *most,
                        double *sum, float *o, size_t o_ld, size_t D)
{
	for (size_t i = 0; i < m; i++, s += KERNEL_SCORES)
		if (~seen[i])
			soften_row(false, capped, s, seen[i], by, cap, &most[i], &sum[i], o + i * o_ld, D);
		else
			soften_row(true, capped, s, seen[i], by, cap, &most[i], &sum[i], o + i * o_ld, D);
}

static void soften(size_t m, float *s, const uint64_t *seen, float by, float cap, float *most, double *sum, float *o,
                   size_t o_ld, size_t D)
{
	if (cap == 0)
		soften_rows(false, m, s, seen, by, 0, most, sum, o, o_ld, D);
	else
		soften_rows(true, m, s, seen, by, cap, most, sum, o, o_ld, D);
}

INLINE void soften_back_row(const bool whole, const bool down, const bool capped, float *p, uint64_t word, float by,
                            float cap, float lse, float *ds, float delta)
{
	UNROLL(16)
	for (size_t v = 0; v < SCORE_VECS; v++) {
		size_t at = v * LANES;
		VEC z = score_of(capped, v_load(p + at), by, cap);
		VEC x = seen_or(whole, word, v, v_exp(v_sub(z, v_set1(lse))), v_zero());
		v_store(p + at, x);
		if (!down)
			continue;
		VEC d = v_mul(v_set1(by), v_mul(x, v_sub(v_load(ds + at), v_set1(delta))));
		if (capped) {
			VEC part = v_div(z, v_set1(cap));
			d = v_mul(v_fnma(part, part, v_set1(1)), d);
		}
		v_store(ds + at, seen_or(whole, word, v, d, v_zero()));
	}
}

INLINE void soften_back_rows(const bool capped, size_t m, float *p, const uint64_t *seen, float by, float cap,
                             const float *lse, size_t lse_ld, float *ds, const float *delta)
{
	for (size_t i = 0; i < m; i++, p += KERNEL_SCORES, lse += lse_ld) {
		float *d = ds ? ds + i * KERNEL_SCORES : NULL;
		if (!ds)
			soften_back_row(false, false, capped, p, seen[i], by, cap, *lse, NULL, 0);
		else if (~seen[i])
			soften_back_row(false, true, capped, p, seen[i], by, cap, *lse, d, delta[i]);
		else
			soften_back_row(true, true, capped, p, seen[i], by, cap, *lse, d, delta[i]);
	}
}

static void soften_back(size_t m, float *p, const uint64_t *seen, float by, float cap, const float *lse, size_t lse_ld,
                        float *ds, const float *delta)
{
	if (cap == 0)
		soften_back_rows(false, m, p, seen, by, 0, lse, lse_ld, ds, delta);
	else
		soften_back_rows(true, m, p, seen, by, cap, lse, lse_ld, ds, delta);
}

/* --- norms; formulas in ref.c --- */

static float rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
	float r = 1 / sqrtf(dot(x, x, n) / (float)n + eps);
	VEC all = v_set1(r);

	EACH(n, v_put(y + i, c, v_mul(v_mul(v_get(x + i, c), all), v_get(w + i, c))););
	return r;
}

static void rmsnorm_back(float *dx, float *dw, const float *dy, const float *x, const float *w, float rstd, size_t n,
                         bool accumulate)
{
	VEC s = v_zero(), r = v_set1(rstd);

	EACH(n, s = v_fma(v_mul(v_get(dy + i, c), v_get(w + i, c)), v_mul(v_get(x + i, c), r), s););
	VEC mean = v_set1(v_sum(s) / (float)n);
	EACH(n,
		VEC g = v_get(dy + i, c), hat = v_mul(v_get(x + i, c), r);
		VEC d = v_mul(r, v_fnma(hat, mean, v_mul(g, v_get(w + i, c))));
		if (dw)
			v_put(dw + i, c, v_fma(g, hat, v_get(dw + i, c)));
		v_put(dx + i, c, accumulate ? v_add(v_get(dx + i, c), d) : d);
	);
}

static void layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps, float *mean,
                      float *rstd)
{
	VEC s = v_zero(), square = v_zero();

	EACH(n, s = v_add(s, v_get(x + i, c)););
	*mean = v_sum(s) / (float)n;
	VEC m = v_set1(*mean);
	EACH(n,
		VEC d = v_sub(v_get(x + i, c), c == LANES ? m : v_first(m, c));
		square = v_fma(d, d, square);
	);
	*rstd = 1 / sqrtf(v_sum(square) / (float)n + eps);
	VEC r = v_set1(*rstd);
	EACH(n,
		VEC v = v_mul(v_mul(v_sub(v_get(x + i, c), m), r), v_get(w + i, c));
		v_put(y + i, c, b ? v_add(v, v_get(b + i, c)) : v);
	);
}

static void layernorm_back(float *dx, float *dw, float *db, const float *dy, const float *x, const float *w, float mean,
                           float rstd, size_t n, bool accumulate)
{
	VEC sum = v_zero(), product = v_zero(), m = v_set1(mean), r = v_set1(rstd);

	EACH(n,
		VEC g = v_mul(v_get(dy + i, c), v_get(w + i, c));
		sum = v_add(sum, g);
		product = v_fma(g, v_mul(v_sub(v_get(x + i, c), m), r), product);
	);
	VEC g_mean = v_set1(v_sum(sum) / (float)n), p_mean = v_set1(v_sum(product) / (float)n);
	EACH(n,
		VEC g = v_get(dy + i, c), hat = v_mul(v_sub(v_get(x + i, c), m), r);
		VEC d = v_mul(r, v_fnma(hat, p_mean, v_sub(v_mul(g, v_get(w + i, c)), g_mean)));
		if (dw)
			v_put(dw + i, c, v_fma(g, hat, v_get(dw + i, c)));
		if (db)
			v_put(db + i, c, v_add(g, v_get(db + i, c)));
		v_put(dx + i, c, accumulate ? v_add(v_get(dx + i, c), d) : d);
	);
}

#include "kernel/lanes_act.h"

static void soft_cap(float *y, const float *x, float cap, size_t n)
{
	EACH(n, v_put(y + i, c, v_mul(v_set1(cap), v_tanh_fine(v_div(v_get(x + i, c), v_set1(cap))))););
}

static void soft_cap_back(float *dx, const float *dy, const float *y, float cap, size_t n)
{
	EACH(n,
		VEC part = v_div(v_get(y + i, c), v_set1(cap));
		v_put(dx + i, c, v_mul(v_get(dy + i, c), v_fnma(part, part, v_set1(1))));
	);
}

static void rope(float *y, const float *x, const float *cs, size_t D, bool interleaved, float sign)
{
	size_t half = D / 2;

	if (interleaved) {
		for (size_t i = 0; i < half; i++) {
			float a = x[2 * i], b = x[2 * i + 1], co = cs[i], si = sign * cs[half + i];
			y[2 * i] = a * co - b * si;
			y[2 * i + 1] = b * co + a * si;
		}
		return;
	}
	EACH(half, VEC a = v_get(x + i, c), b = v_get(x + half + i, c), co = v_get(cs + i, c),
	     si = v_mul(v_set1(sign), v_get(cs + half + i, c));
	     v_put(y + i, c, v_fnma(b, si, v_mul(a, co))); v_put(y + half + i, c, v_fma(a, si, v_mul(b, co))););
}

static void adamw(float *w, const float *g, float *m, float *v, size_t n, const struct adamw_step *s)
{
	VEC rest1 = v_set1(s->rest1), rest2 = v_set1(s->rest2), beta2 = v_set1(s->beta2), eps = v_set1(s->eps),
	    shrink = v_set1(s->shrink);
	VEC step = v_set1(s->step), bias2 = v_set1(s->inv_sqrt_bias2), g_scale = v_set1(s->g_scale);

	EACH(n,
		VEC d = v_mul(v_get(g + i, c), g_scale), m_old = v_get(m + i, c);
		VEC m_new = v_fma(rest1, v_sub(d, m_old), m_old);
		VEC v_new = v_fma(v_mul(rest2, d), d, v_mul(v_get(v + i, c), beta2));
		VEC change = v_div(v_mul(step, m_new), v_fma(v_sqrt(v_new), bias2, eps));
		v_put(m + i, c, m_new);
		v_put(v + i, c, v_new);
		v_put(w + i, c, v_sub(v_mul(v_get(w + i, c), shrink), change));
	);
}

static void lanes_install(struct kernels *k)
{
	struct kernels below = *k;

	*k = (struct kernels){
		.name = below.name,
		.mr = MR,
		.nr = NR,
		.gemm_tile = gemm_tile,
		.pack_rows = pack_rows,
		.pack_cols = pack_cols,
		.pack_panels = pack_panels,
		.tile_in_place = tile_in_place,
		.panel_rows = panel_rows,
		.few_sums = few_sums,
		.sums_apart = sums_apart,
		.q8_row = below.q8_row,
		.q8_tile = below.q8_tile,
		.dot = dot,
		.dot_f16 = dot_f16,
		.dot_s8 = below.dot_s8,
		.axpy = axpy,
		.add = add,
		.scale = scale,
		.sum_squares = sum_squares,
		.exp_sum = exp_sum,
		.exp64 = exp64,
		.max = max,
		.soft_cap = soft_cap,
		.soft_cap_back = soft_cap_back,
		.clamped_swiglu = clamped_swiglu,
		.clamped_swiglu_back = clamped_swiglu_back,
		.soften = soften,
		.soften_back = soften_back,
		.rmsnorm = rmsnorm,
		.rmsnorm_back = rmsnorm_back,
		.layernorm = layernorm,
		.layernorm_back = layernorm_back,
#define X(NAME, name) .act[ACT_##NAME] = { name##_f, name##_back, name##_gated, name##_gated_back },
		ACTIVATIONS(X)
#undef X
		.rope = rope,
		.adamw = adamw,
	};
}
