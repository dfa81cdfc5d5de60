/* rope: read, computed, written. See rope.h.
 *
 * A frequency is computed as PyTorch does: θ's power rounded to f32, and every step after it in f32. */
#include "model/rope.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "format/gguf_write.h"

enum { FAST = 32, SLOW = 1, LLAMA3_LOW = 1, LLAMA3_HIGH = 4, LLAMA3_ORIGINAL = 8192 };

static const struct { const char *word; enum rope_kind kind; } words[] = {
	{ "default", ROPE_PLAIN }, { "linear", ROPE_LINEAR }, { "dynamic", ROPE_DYNAMIC }, { "llama3", ROPE_LLAMA3 },
	{ "yarn", ROPE_YARN }, { "longrope", ROPE_LONG }, { "su", ROPE_LONG }, /* Phi-3's first name for it */
};

static double log_scale(double factor, double by) { return factor <= 1 ? 1 : 0.1 * by * log(factor) + 1; }

/* --- config.json --- */

static int read_kind(struct rope_scaling *s, const json_t *j, const char *where, struct err *e)
{
	const char *word;

	if (jsonx_string(j, "type", "default", &word, e) < 0 || jsonx_string(j, "rope_type", word, &word, e) < 0)
		return err_prefix(e, "%s", where);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strcmp(word, words[i].word)) {
			s->kind = words[i].kind;
			return 0;
		}
	return err_set(e, "%s: rope_type is \"%.80s\", known are default, linear, dynamic, llama3, yarn and longrope",
	               where, word);
}

/* A number above 0 where the key is there and not null. */
static int read_number(const json_t *j, const char *key, double *out, const char *where, struct err *e)
{
	double x;

	if (!json_object_get(j, key) || json_is_null(json_object_get(j, key)))
		return 0;
	if (jsonx_real(j, key, 0, &x, e) < 0)
		return err_prefix(e, "%s", where);
	if (!(x > 0) || isinf(x))
		return err_set(e, "%s: rotary positions' %s is %g, wanted a number above 0", where, key, x);
	*out = x;
	return 0;
}

static int read_list(const json_t *j, const char *key, float *out, int pairs, const char *where, struct err *e)
{
	const json_t *list = json_object_get(j, key);
	size_t i;
	json_t *item;

	if (json_array_size(list) != (size_t)pairs)
		return err_set(e, "%s: %s of rotary positions is no list of %d numbers, one for each pair", where, key,
		               pairs);
	json_array_foreach((json_t *)(uintptr_t)list, i, item) {
		if (!json_is_number(item) || !(json_number_value(item) > 0))
			return err_set(e, "%s: number %zu of %s is not above 0", where, i + 1, key);
		out[i] = (float)json_number_value(item);
	}
	return 0;
}

/* What a kind cannot do without. */
static int check_said(const struct rope_scaling *s, const char *where, struct err *e)
{
	static const char *const names[] = { "default", "linear", "dynamic", "llama3", "yarn", "longrope" };
	bool scaled = s->kind == ROPE_LINEAR || s->kind == ROPE_LLAMA3;

	if (scaled && s->factor == 0)
		return err_set(e, "%s: rotary positions are \"%s\" without a factor", where, names[s->kind]);
	if (s->kind == ROPE_LLAMA3 && (s->low == 0 || s->high <= s->low))
		return err_set(e, "%s: rotary positions are \"llama3\", wanted low_freq_factor below high_freq_factor",
		               where);
	return 0;
}

int rope_scaling_json(struct rope_scaling *s, const json_t *j, double *theta, double *partial, int D,
                      const char *where, struct err *e)
{
	struct { const char *key; double *at; } numbers[] = {
		{ "rope_theta", theta },           { "partial_rotary_factor", partial },
		{ "factor", &s->factor },          { "original_max_position_embeddings", &s->original },
		{ "low_freq_factor", &s->low },    { "high_freq_factor", &s->high },
		{ "beta_fast", &s->fast },         { "beta_slow", &s->slow },
		{ "attention_factor", &s->attention }, { "mscale", &s->mscale },
		{ "mscale_all_dim", &s->mscale_all_dim },
	};
	int whole;

	if (!j)
		return 0;
	if (read_kind(s, j, where, e) < 0 || jsonx_bool(j, "truncate", 1, &whole, e) < 0)
		return -1;
	s->whole_pairs = whole;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (read_number(j, numbers[i].key, numbers[i].at, where, e) < 0)
			return -1;
	int pairs = (int)(D * *partial) / 2;
	if (pairs > ROPE_PAIRS)
		return err_set(e, "%s: heads of %d pairs that turn, at most %d are wanted", where, pairs, ROPE_PAIRS);
	if (s->kind == ROPE_LONG && (read_list(j, "short_factor", s->short_factor, pairs, where, e) < 0 ||
	                             read_list(j, "long_factor", s->long_factor, pairs, where, e) < 0))
		return -1;
	return check_said(s, where, e);
}

/* --- GGUF --- */

static int read_real(const struct gguf *g, const char *arch, const char *key, double *out, struct err *e)
{
	char name[160];

	snprintf(name, sizeof(name), "%s.rope.%s", arch, key);
	return gguf_real(g, name, false, *out, out, e);
}

/* A tensor of divisors, which a file may not have. */
static int read_divisors(const struct gguf *g, const char *name, float *out, int pairs, bool *there, struct err *e)
{
	const struct gguf_tensor *t = gguf_find_tensor(g, name);

	*there = t != NULL;
	if (!t)
		return 0;
	if (t->dtype != DTYPE_F32 || t->n_dims != 1 || t->dim[0] != (uint64_t)pairs)
		return err_set(e, "%s: %s is no vector of %d numbers, one for each pair", g->path, name, pairs);
	memcpy(out, t->data, (size_t)pairs * sizeof(*out));
	for (int i = 0; i < pairs; i++)
		if (!(out[i] > 0) || isinf(out[i]))
			return err_set(e, "%s: number %d of %s is not above 0", g->path, i + 1, name);
	return 0;
}

static int read_factors(struct rope_scaling *s, const struct gguf *g, int pairs, struct err *e)
{
	bool small, large, freqs;

	if (read_divisors(g, "rope_factors_short.weight", s->short_factor, pairs, &small, e) < 0 ||
	    read_divisors(g, "rope_factors_long.weight", s->long_factor, pairs, &large, e) < 0)
		return -1;
	if (small != large)
		return err_set(e, "%s: one of rope_factors_short.weight and rope_factors_long.weight is missing",
		               g->path);
	if (small) {
		s->kind = ROPE_LONG;
		return 0;
	}
	if (read_divisors(g, "rope_freqs.weight", s->short_factor, pairs, &freqs, e) < 0)
		return -1;
	if (freqs && s->kind != ROPE_PLAIN)
		return err_set(e, "%s: rope_freqs.weight beside rope.scaling.type, one of them is wanted", g->path);
	s->kind = freqs ? ROPE_FACTORS : s->kind;
	return 0;
}

static int read_type(struct rope_scaling *s, const struct gguf *g, const char *arch, struct err *e)
{
	char name[160];
	const char *word = NULL;

	snprintf(name, sizeof(name), "%s.rope.scaling.type", arch);
	if (gguf_str(g, name, false, &word, e) < 0)
		return -1;
	s->kind = s->factor > 0 && s->factor != 1 && !word ? ROPE_LINEAR : ROPE_PLAIN; /* as llama.cpp takes it */
	if (!word || !strcmp(word, "none"))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strcmp(word, words[i].word)) {
			s->kind = words[i].kind;
			return 0;
		}
	return err_set(e, "%s: %s is \"%.80s\", known are none, linear, yarn and longrope", g->path, name, word);
}

/* What llama.cpp computes with whatever the kind, and we do for some. */
static int check_beside(const struct rope_scaling *s, const struct gguf *g, const char *arch, struct err *e)
{
	bool scales = s->kind == ROPE_YARN || s->kind == ROPE_LONG;

	if (!scales && s->attention > 0 && s->attention != 1)
		return err_set(e, "%s: %s.rope.scaling.attn_factor is %g, which is computed for yarn and longrope",
		               g->path, arch, s->attention);
	if (s->kind == ROPE_LONG && s->factor > 0 && s->factor != 1)
		return err_set(e, "%s: %s.rope.scaling.factor is %g beside divisors of every pair, wanted 1", g->path,
		               arch, s->factor);
	return 0;
}

int rope_scaling_gguf(struct rope_scaling *s, const struct gguf *g, const char *arch, int pairs, struct err *e)
{
	double multiplier = 0;
	int64_t original;
	char key[160];

	*s = (struct rope_scaling){ .whole_pairs = true };
	if (read_real(g, arch, "scale_linear", &s->factor, e) < 0 ||
	    read_real(g, arch, "scaling.factor", &s->factor, e) < 0 || read_type(s, g, arch, e) < 0 ||
	    read_real(g, arch, "scaling.attn_factor", &s->attention, e) < 0 ||
	    read_real(g, arch, "scaling.yarn_beta_fast", &s->fast, e) < 0 ||
	    read_real(g, arch, "scaling.yarn_beta_slow", &s->slow, e) < 0 ||
	    read_real(g, arch, "scaling.yarn_log_multiplier", &multiplier, e) < 0)
		return -1;
	snprintf(key, sizeof(key), "%s.rope.scaling.original_context_length", arch);
	if (gguf_int(g, key, false, 0, &original, e) < 0)
		return -1;
	s->original = (double)original;
	if (s->kind == ROPE_YARN)
		s->attention *= log_scale(s->factor, 1);
	if (multiplier != 0)
		return err_set(e, "%s: %s.rope.scaling.yarn_log_multiplier is %g, which is not computed", g->path, arch,
		               multiplier);
	if (read_factors(s, g, pairs, e) < 0 || check_beside(s, g, arch, e) < 0)
		return -1;
	return check_said(s, g->path, e);
}

/* --- computing --- */

/* What θ's power becomes, in f32. */
static float powered(double theta, int i, int dims)
{
	float exponent = (float)(2 * i) / (float)dims;

	return (float)pow((double)(float)theta, (double)exponent);
}

static float llama3(const struct rope_scaling *s, float f, int n_ctx)
{
	double original = s->original > 0 ? s->original : n_ctx;
	float wave = (float)(2 * M_PI) / f;

	if (wave > (float)(original / s->low))
		return f / (float)s->factor;
	if (wave < (float)(original / s->high))
		return f;
	float smooth = ((float)original / wave - (float)s->low) / (float)(s->high - s->low);
	return (1 - smooth) * f / (float)s->factor + smooth * f;
}

/* The pair that turns so many times in P positions. */
static double turning_pair(double turns, double original, double theta, int dims)
{
	return dims * log(original / (turns * 2 * M_PI)) / (2 * log(theta));
}

static double yarn_factor(const struct rope_scaling *s, int n_ctx)
{
	return s->factor > 0 ? s->factor : n_ctx / s->original;
}

static void yarn(struct rope *r, const struct rope_scaling *s, double theta, int n_ctx)
{
	double original = s->original > 0 ? s->original : n_ctx, factor = yarn_factor(s, n_ctx);
	double low = turning_pair(s->fast > 0 ? s->fast : FAST, original, theta, r->dims);
	double high = turning_pair(s->slow > 0 ? s->slow : SLOW, original, theta, r->dims);

	if (s->whole_pairs) {
		low = floor(low);
		high = ceil(high);
	}
	low = fmax(low, 0);
	high = fmin(high, r->dims - 1);
	high += low == high ? 0.001 : 0;
	for (int i = 0; i < r->dims / 2; i++) {
		float power = powered(theta, i, r->dims), ramp = ((float)i - (float)low) / (float)(high - low);
		float own = 1 - fminf(fmaxf(ramp, 0), 1);
		r->frequency[i] = 1 / ((float)factor * power) * (1 - own) + 1 / power * own;
	}
}

/* Cosines and sines by what, where the file does not say it. */
static double attention(const struct rope_scaling *s, int n_ctx)
{
	double factor = yarn_factor(s, n_ctx);

	if (s->attention > 0)
		return s->attention;
	if (s->kind == ROPE_YARN)
		return s->mscale > 0 && s->mscale_all_dim > 0 ?
		               log_scale(factor, s->mscale) / log_scale(factor, s->mscale_all_dim) :
		               log_scale(factor, 1);
	return factor <= 1 ? 1 : sqrt(1 + log(factor) / log(s->original));
}

void rope_make(struct rope *r, const struct rope_scaling *s, double theta, int dims, int n_ctx)
{
	bool scales = s->kind == ROPE_YARN || (s->kind == ROPE_LONG && s->original > 0);

	*r = (struct rope){ .dims = dims, .scale = scales ? (float)attention(s, n_ctx) : 1 };
	if (s->kind == ROPE_YARN) {
		yarn(r, s, theta, n_ctx);
		return;
	}
	for (int i = 0; i < dims / 2; i++) {
		float power = powered(theta, i, dims), f = 1 / power;
		switch (s->kind) {
		case ROPE_LINEAR: f /= (float)s->factor; break;
		case ROPE_LLAMA3: f = llama3(s, f, n_ctx); break;
		case ROPE_LONG: f = 1 / (s->short_factor[i] * power); break;
		case ROPE_FACTORS: f /= s->short_factor[i]; break;
		default: break;
		}
		r->frequency[i] = f;
	}
}

void rope_fill(float *table, size_t positions, const struct rope *r)
{
	size_t D = (size_t)r->dims;

	for (size_t i = 0; i < D / 2; i++)
		for (size_t p = 0; p < positions; p++) {
			float angle = (float)p * r->frequency[i];
			table[p * D + i] = (float)cos((double)angle) * r->scale;
			table[p * D + D / 2 + i] = (float)sin((double)angle) * r->scale;
		}
}

/* --- writing --- */

/* Divisors of GGUF as the llama3 that they were made of: its largest is the factor, the rest are Meta's numbers. */
static int as_llama3(struct rope_scaling *out, const struct rope_scaling *s, double theta, int dims, struct err *e)
{
	struct rope one, two;

	*out = (struct rope_scaling){ ROPE_LLAMA3, .factor = (double)s->short_factor[dims / 2 - 1], .low = LLAMA3_LOW,
		                      .high = LLAMA3_HIGH, .original = LLAMA3_ORIGINAL };
	rope_make(&one, s, theta, dims, LLAMA3_ORIGINAL);
	rope_make(&two, out, theta, dims, LLAMA3_ORIGINAL);
	for (int i = 0; i < dims / 2; i++)
		if (fabsf(one.frequency[i] - two.frequency[i]) > 1e-5F * one.frequency[i])
			return err_set(e, "rope_freqs.weight is none of llama3's scalings, which a config.json could "
			                  "say");
	return 0;
}

static json_t *list_json(const float *x, int n)
{
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(list, json_real((double)x[i]));
	return list;
}

/* A count of positions is an integer to transformers. */
static json_t *number_json(double x, const char *key)
{
	return !strcmp(key, "original_max_position_embeddings") ? json_integer((json_int_t)x) : jsonx_number(x);
}

json_t *rope_json(const struct rope_scaling *s, double theta, int dims, struct err *e)
{
	struct rope_scaling meta;

	if (s->kind == ROPE_FACTORS) {
		if (as_llama3(&meta, s, theta, dims, e) < 0)
			return NULL;
		s = &meta;
	}
	const struct { const char *key; double x; } numbers[] = {
		{ "rope_theta", theta },        { "factor", s->factor },
		{ "original_max_position_embeddings", s->original },
		{ "low_freq_factor", s->low },  { "high_freq_factor", s->high },
		{ "beta_fast", s->fast },       { "beta_slow", s->slow },
		{ "attention_factor", s->attention },
	};
	json_t *j = json_object();
	for (size_t i = 0; i < ARRAY_LEN(words) && !json_object_get(j, "rope_type"); i++)
		if (words[i].kind == s->kind)
			json_object_set_new(j, "rope_type", json_string(words[i].word));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (numbers[i].x > 0 && (i == 0 || s->kind != ROPE_PLAIN))
			json_object_set_new(j, numbers[i].key, number_json(numbers[i].x, numbers[i].key));
	if (s->kind == ROPE_YARN && !s->whole_pairs)
		json_object_set_new(j, "truncate", json_false());
	if (s->kind == ROPE_LONG) {
		json_object_set_new(j, "short_factor", list_json(s->short_factor, dims / 2));
		json_object_set_new(j, "long_factor", list_json(s->long_factor, dims / 2));
	}
	return j;
}

static void put_real(struct gguf_meta *meta, const char *arch, const char *name, double x)
{
	char key[160];

	snprintf(key, sizeof(key), "%s.rope.%s", arch, name);
	if (x > 0)
		gguf_put_f32(meta, key, (float)x);
}

static void put_whole(struct gguf_meta *meta, const char *arch, const char *name, double x)
{
	char key[160];

	snprintf(key, sizeof(key), "%s.rope.%s", arch, name);
	if (x > 0)
		gguf_put_u32(meta, key, (uint32_t)x);
}

void rope_put_gguf(struct gguf_meta *meta, const char *arch, const struct rope_scaling *s, const struct rope *r,
                   bool with_original, int n_ctx)
{
	char key[160];

	put_whole(meta, arch, "dimension_count", r->dims);
	snprintf(key, sizeof(key), "%s.rope.scaling.type", arch);
	if (s->kind == ROPE_LONG)
		put_real(meta, arch, "scaling.attn_factor", (double)r->scale);
	if (s->kind == ROPE_LONG && with_original)
		put_whole(meta, arch, "scaling.original_context_length", s->original);
	if (s->kind != ROPE_LINEAR && s->kind != ROPE_YARN)
		return;
	gguf_put_str(meta, key, s->kind == ROPE_YARN ? "yarn" : "linear");
	put_real(meta, arch, "scaling.factor", s->kind == ROPE_YARN ? yarn_factor(s, n_ctx) : s->factor);
	if (s->kind == ROPE_LINEAR)
		return;
	if (with_original)
		put_whole(meta, arch, "scaling.original_context_length", s->original > 0 ? s->original : n_ctx);
	put_real(meta, arch, "scaling.yarn_beta_fast", s->fast);
	put_real(meta, arch, "scaling.yarn_beta_slow", s->slow);
	double rest = (double)r->scale / log_scale(yarn_factor(s, n_ctx), 1);
	if (fabs(rest - 1) > 1e-6)
		put_real(meta, arch, "scaling.attn_factor", rest);
}

int rope_divisors(struct rope_divisors out[2], const struct rope_scaling *s, const struct rope *r, double theta)
{
	struct rope plain;

	if (s->kind == ROPE_LONG) {
		out[0].name = "rope_factors_long.weight";
		out[1].name = "rope_factors_short.weight";
		memcpy(out[0].x, s->long_factor, sizeof(out[0].x));
		memcpy(out[1].x, s->short_factor, sizeof(out[1].x));
		return 2;
	}
	if (s->kind != ROPE_LLAMA3 && s->kind != ROPE_FACTORS)
		return 0;
	rope_make(&plain, &(struct rope_scaling){ .kind = ROPE_PLAIN }, theta, r->dims, 1);
	out[0].name = "rope_freqs.weight";
	for (int i = 0; i < r->dims / 2; i++)
		out[0].x[i] = plain.frequency[i] / r->frequency[i];
	return 1;
}
