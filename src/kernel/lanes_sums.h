/* lanes_sums: sums of products whose lanes are columns of a matrix of rows, in whatever vectors lanes.h is included
 * for: its part, nobody else includes it. A few rows times a matrix as it is stored, and rows that have a matrix
 * each. */

/* m rows, P runs of columns from j, of which n are wanted. */
INLINE void sums_of(const enum dtype t, const size_t m, const size_t P, size_t j, size_t n, size_t k, const float *a,
                    size_t a_ld, const uint8_t *w, size_t row_bytes, float *c, size_t ldc)
{
	VEC s[KERNEL_FEW][4 * RUN_VECS], y[RUN_VECS];

	UNROLL(4)
	for (size_t i = 0; i < m; i++)
		UNROLL(16)
		for (size_t v = 0; v < P * RUN_VECS; v++)
			s[i][v] = v * LANES < n ? v_get(c + i * ldc + j + v * LANES, lanes_of(n, v)) : v_zero();
	for (size_t q = 0; q < k; q++, w += row_bytes)
		UNROLL(4)
		for (size_t p = 0; p < P; p++) {
			run_read(t, w, j + p * QUANT_RUN, P > 1 ? QUANT_RUN : n, y);
			UNROLL(4)
			for (size_t v = 0; v < RUN_VECS; v++)
				UNROLL(4)
				for (size_t i = 0; i < m; i++)
					s[i][p * RUN_VECS + v] =
						v_fma(v_set1(a[i * a_ld + q]), y[v], s[i][p * RUN_VECS + v]);
		}
	UNROLL(4)
	for (size_t i = 0; i < m; i++)
		UNROLL(16)
		for (size_t v = 0; v < P * RUN_VECS; v++)
			if (v * LANES < n)
				v_put(c + i * ldc + j + v * LANES, lanes_of(n, v), s[i][v]);
}

INLINE void sums(const enum dtype t, const size_t m, size_t n, size_t k, const float *a, size_t a_ld, const uint8_t *w,
                 size_t row_bytes, float *c, size_t ldc)
{
	const size_t step = PANELS_AT_ONCE * QUANT_RUN;
	size_t j = 0;

	for (; j + step <= n; j += step)
		sums_of(t, m, PANELS_AT_ONCE, j, step, k, a, a_ld, w, row_bytes, c, ldc);
	for (; j < n; j += QUANT_RUN)
		sums_of(t, m, 1, j, n - j < QUANT_RUN ? n - j : QUANT_RUN, k, a, a_ld, w, row_bytes, c, ldc);
}

static void few_sums(enum dtype t, size_t m, size_t n, size_t k, const float *a, size_t a_ld, const void *w,
                     size_t row_bytes, float *c, size_t ldc)
{
	switch (t * 4 + m) {
#define X(T) \
	case DTYPE_##T * 4 + 1: sums(DTYPE_##T, 1, n, k, a, a_ld, w, row_bytes, c, ldc); break; \
	case DTYPE_##T * 4 + 2: sums(DTYPE_##T, 2, n, k, a, a_ld, w, row_bytes, c, ldc); break; \
	case DTYPE_##T * 4 + 3: sums(DTYPE_##T, 3, n, k, a, a_ld, w, row_bytes, c, ldc); break;
	X(F32) X(F16) X(BF16) X(Q8_0)
#undef X
	default: BUG("no product of %zu rows with rows of dtype %d", m, (int)t);
	}
}

/* --- rows that have a matrix each --- */

enum { APART = 4 }; /* sums beside each other: they hide an addition's latency, and registers hold their pointers */

INLINE void apart(const size_t P, size_t k, const struct sum_apart *s)
{
	const float *a[APART], *w[APART];
	VEC sum[APART][RUN_VECS];

	UNROLL(4)
	for (size_t p = 0; p < P; p++) {
		a[p] = s[p].a;
		w[p] = s[p].w;
		UNROLL(4)
		for (size_t v = 0; v < RUN_VECS; v++)
			sum[p][v] = v_zero();
	}
	for (size_t q = 0; q < k; q++)
		UNROLL(4)
		for (size_t p = 0; p < P; p++) {
			UNROLL(4)
			for (size_t v = 0; v < RUN_VECS; v++)
				sum[p][v] = v_fma(v_set1(a[p][q]), v_load(w[p] + v * LANES), sum[p][v]);
			w[p] += s[p].step;
		}
	UNROLL(4)
	for (size_t p = 0; p < P; p++)
		UNROLL(4)
		for (size_t v = 0; v < RUN_VECS; v++)
			if (v * LANES < s[p].n)
				v_put(s[p].c + v * LANES, lanes_of(s[p].n, v), sum[p][v]);
}

static void sums_apart(size_t n, size_t k, const struct sum_apart *s)
{
	for (; n >= APART; n -= APART, s += APART)
		apart(APART, k, s);
	if (n >= 2)
		apart(2, k, s);
	if (n % 2)
		apart(1, k, s + n - 1);
}
