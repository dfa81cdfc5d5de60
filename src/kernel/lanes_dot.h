/* lanes_dot: sums of products of two rows, in whatever vectors lanes.h is included for: its part, nobody else includes
 * it. Four sums, or two of a run, run beside each other and are added at the end. */
static float dot(const float *a, const float *b, size_t n)
{
	VEC s[4] = { v_zero(), v_zero(), v_zero(), v_zero() };
	size_t at = 0;

	for (; at + 4 * LANES <= n; at += 4 * LANES)
		UNROLL(4)
		for (size_t v = 0; v < 4; v++)
			s[v] = v_fma(v_load(a + at + v * LANES), v_load(b + at + v * LANES), s[v]);
	EACH(n - at, s[0] = v_fma(v_get(a + at + i, c), v_get(b + at + i, c), s[0]););
	return v_sum(v_add(v_add(s[0], s[1]), v_add(s[2], s[3])));
}

static float dot_f16(const float *a, const uint16_t *b, size_t n)
{
	VEC s[2][RUN_VECS], x[RUN_VECS], all = v_zero();
	size_t at = 0;

	UNROLL(8)
	for (size_t v = 0; v < (size_t)(2 * RUN_VECS); v++)
		s[v / RUN_VECS][v % RUN_VECS] = v_zero();
	for (; at + 2 * QUANT_RUN <= n; at += 2 * QUANT_RUN)
		UNROLL(2)
		for (size_t h = 0; h < 2; h++) {
			run_f16((const uint8_t *)(b + at + h * QUANT_RUN), x);
			UNROLL(4)
			for (size_t v = 0; v < RUN_VECS; v++)
				s[h][v] = v_fma(v_load(a + at + h * QUANT_RUN + v * LANES), x[v], s[h][v]);
		}
	for (; at < n; at += QUANT_RUN) {
		float some[QUANT_RUN] = { 0 };
		memcpy(some, a + at, (n - at < QUANT_RUN ? n - at : QUANT_RUN) * sizeof(*some));
		run_read(DTYPE_F16, (const uint8_t *)b, at, n - at, x);
		UNROLL(4)
		for (size_t v = 0; v < RUN_VECS; v++)
			s[0][v] = v_fma(v_load(some + v * LANES), x[v], s[0][v]);
	}
	UNROLL(4)
	for (size_t v = 0; v < RUN_VECS; v++)
		all = v_add(all, v_add(s[0][v], s[1][v]));
	return v_sum(all);
}
