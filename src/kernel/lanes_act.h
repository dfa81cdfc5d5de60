/* lanes_act: the activations (kernel/activation.h) of every vector instruction set, a part of lanes.h's text: each a
 * value, a slope with the value beside it, and the four functions that follow. Formulas are in ref.c. */

/* f and f' at x. */
struct slope { VEC y, by; };

INLINE VEC silu(VEC x) { return v_div(x, v_add(v_set1(1), v_exp(v_sub(v_zero(), x)))); }

INLINE struct slope silu_slope(VEC x)
{
	VEC s = v_sigmoid(x);

	return (struct slope){ v_mul(x, s), v_mul(s, v_fma(x, v_sub(v_set1(1), s), v_set1(1))) };
}

INLINE struct slope gelu_slope(VEC x)
{
	VEC a = v_abs(x), half = v_set1(0.5f), t = v_div(v_set1(1), v_fma(v_set1(TAIL_K), a, v_set1(1)));
	VEC bell = v_exp(v_mul(v_set1(-0.5f), v_mul(a, a))), c = v_fma(v_set1(TAIL_C6), t, v_set1(TAIL_C5));

	c = v_fma(c, t, v_set1(TAIL_C4));
	c = v_fma(c, t, v_set1(TAIL_C3));
	c = v_fma(c, t, v_set1(TAIL_C2));
	c = v_fma(c, t, v_set1(TAIL_C1));
	c = v_fma(c, t, v_set1(TAIL_C0));
	VEC phi = v_add(half, v_copysign(v_fnma(bell, v_mul(t, c), half), x));
	return (struct slope){ v_mul(x, phi), v_fma(v_set1(NORMAL_DENSITY), v_mul(x, bell), phi) };
}

INLINE VEC gelu(VEC x) { return gelu_slope(x).y; }

INLINE VEC gelu_tanh_of(VEC x)
{
	VEC cube = v_mul(v_mul(x, x), x);

	return v_tanh(v_mul(v_set1(GELU_SCALE), v_fma(v_set1(GELU_CUBE), cube, x)));
}

INLINE VEC gelu_tanh(VEC x) { return v_mul(v_mul(v_set1(0.5f), x), v_add(v_set1(1), gelu_tanh_of(x))); }

INLINE struct slope gelu_tanh_slope(VEC x)
{
	VEC t = gelu_tanh_of(x), half = v_set1(0.5f), one = v_set1(1);
	VEC inner = v_mul(v_set1(GELU_SCALE), v_fma(v_set1(3 * GELU_CUBE), v_mul(x, x), one));

	return (struct slope){ v_mul(v_mul(half, x), v_add(one, t)),
		               v_fma(v_mul(v_mul(half, x), v_fnma(t, t, one)), inner, v_mul(half, v_add(one, t))) };
}

/* NaN stays: it is the second operand. */
INLINE VEC relu(VEC x) { return v_max(v_zero(), x); }

/* Times 2^126 every positive number is at least 1, but for those that are nearly nothing. */
INLINE struct slope relu_slope(VEC x)
{
	VEC y = relu(x);

	return (struct slope){ y, v_min(v_set1(1), v_mul(y, v_set1(0x1p126f))) };
}

INLINE VEC relu2(VEC x) { return v_mul(relu(x), relu(x)); }

INLINE struct slope relu2_slope(VEC x)
{
	VEC y = relu(x);

	return (struct slope){ v_mul(y, y), v_add(y, y) };
}

INLINE VEC tanh_act(VEC x) { return v_tanh_fine(x); }

INLINE struct slope tanh_act_slope(VEC x)
{
	VEC y = v_tanh_fine(x);

	return (struct slope){ y, v_fnma(y, y, v_set1(1)) };
}

INLINE VEC sigmoid(VEC x) { return v_sigmoid(x); }

INLINE struct slope sigmoid_slope(VEC x)
{
	VEC y = v_sigmoid(x);

	return (struct slope){ y, v_mul(y, v_sub(v_set1(1), y)) };
}

#define X(NAME, name) \
	static void name##_f(float *y, const float *x, size_t n) \
	{ \
		EACH(n, v_put(y + i, c, name(v_get(x + i, c)));); \
	} \
	static void name##_back(float *dx, const float *dy, const float *x, size_t n) \
	{ \
		EACH(n, v_put(dx + i, c, v_mul(v_get(dy + i, c), name##_slope(v_get(x + i, c)).by));); \
	} \
	static void name##_gated(float *y, const float *gate, const float *up, size_t n) \
	{ \
		EACH(n, v_put(y + i, c, v_mul(name(v_get(gate + i, c)), v_get(up + i, c)));); \
	} \
	static void name##_gated_back(float *dgate, float *dup, const float *dy, const float *gate, const float *up, \
	                              size_t n) \
	{ \
		EACH(n, \
			VEC d = v_get(dy + i, c), u = v_get(up + i, c); \
			struct slope s = name##_slope(v_get(gate + i, c)); \
			v_put(dup + i, c, v_mul(d, s.y)); \
			v_put(dgate + i, c, v_mul(v_mul(d, u), s.by)); \
		); \
	}
ACTIVATIONS(X)
#undef X

/* gpt-oss's gate, of two numbers beside the rows. */

INLINE VEC v_clamp(VEC x, VEC limit) { return v_max(v_sub(v_zero(), limit), v_min(limit, x)); }

static void clamped_swiglu(float *y, const float *gate, const float *up, float alpha, float limit, size_t n)
{
	VEC most = v_set1(limit);

	EACH(n,
		VEC g = v_min(most, v_get(gate + i, c)), u = v_clamp(v_get(up + i, c), most);
		v_put(y + i, c, v_mul(v_mul(g, v_sigmoid(v_mul(v_set1(alpha), g))), v_add(u, v_set1(1))));
	);
}

/* 1 below the limit, else 0: times 2^126 every positive number is at least 1, but for those that are nearly nothing. */
INLINE VEC v_below(VEC x, VEC limit)
{
	return v_min(v_set1(1), v_mul(v_max(v_zero(), v_sub(limit, x)), v_set1(0x1p126f)));
}

static void clamped_swiglu_back(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                                float alpha, float limit, size_t n)
{
	VEC most = v_set1(limit), one = v_set1(1);

	EACH(n,
		VEC d = v_get(dy + i, c), g = v_get(gate + i, c), u = v_get(up + i, c);
		VEC through = v_below(g, most), up_through = v_below(v_abs(u), most);
		g = v_min(most, g);
		u = v_clamp(u, most);
		VEC s = v_sigmoid(v_mul(v_set1(alpha), g));
		VEC slope = v_mul(s, v_fma(v_mul(v_set1(alpha), g), v_sub(one, s), one));
		v_put(dup + i, c, v_mul(up_through, v_mul(d, v_mul(g, s))));
		v_put(dgate + i, c, v_mul(through, v_mul(v_mul(d, v_add(u, one)), slope)));
	);
}
