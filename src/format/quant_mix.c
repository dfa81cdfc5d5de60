/* quant_mix: the rules one by one, see quant_mix.h. Counters go over the tensors in their order, as llama.cpp has them:
 * the n-th of the values is the n-th that comes along, whatever its layer is called. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "format/quant_mix.h"

#include <ctype.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/text.h"
#include "quant/quantize.h"

enum { FILE_TYPE_Q2_K_S = 21, FILE_TYPE_MXFP4_MOE = 38, LAYERS_70B = 80 };

/* --- names --- */

static const struct quant_mix mixtures[] = {
	{ "f32", 0, DTYPE_F32 },      { "f16", 1, DTYPE_F16 },      { "bf16", 32, DTYPE_BF16 },
	{ "q1_0", 40, DTYPE_Q1_0 },   { "q2_0", 41, DTYPE_Q2_0 },   { "q4_0", 2, DTYPE_Q4_0 },
	{ "q4_1", 3, DTYPE_Q4_1 },    { "q5_0", 8, DTYPE_Q5_0 },    { "q5_1", 9, DTYPE_Q5_1 },
	{ "q8_0", 7, DTYPE_Q8_0 },    { "q2_k", 10, DTYPE_Q2_K },   { "q2_k_s", FILE_TYPE_Q2_K_S, DTYPE_Q2_K },
	{ "q3_k_s", 11, DTYPE_Q3_K }, { "q3_k_m", 12, DTYPE_Q3_K }, { "q3_k_l", 13, DTYPE_Q3_K },
	{ "q4_k_s", 14, DTYPE_Q4_K }, { "q4_k_m", 15, DTYPE_Q4_K }, { "q5_k_s", 16, DTYPE_Q5_K },
	{ "q5_k_m", 17, DTYPE_Q5_K }, { "q6_k", 18, DTYPE_Q6_K },   { "iq4_nl", 25, DTYPE_IQ4_NL },
	{ "iq4_xs", 30, DTYPE_IQ4_XS }, { "tq1_0", 36, DTYPE_TQ1_0 }, { "tq2_0", 37, DTYPE_TQ2_0 },
	{ "mxfp4_moe", FILE_TYPE_MXFP4_MOE, DTYPE_MXFP4 },
};
static const struct { const char *name, *means; } others[] = {
	{ "q3_k", "q3_k_m" }, { "q4_k", "q4_k_m" }, { "q5_k", "q5_k_m" }, { "mxfp4", "mxfp4_moe" },
};

/* "q4_0, q4_1, …" */
static const char *quant_mix_names(void)
{
	return "f32, f16, bf16, q8_0, q6_k, q5_k_m, q5_k_s, q5_1, q5_0, q4_k_m, q4_k_s, q4_1, q4_0, iq4_nl, iq4_xs, "
	       "q3_k_l, q3_k_m, q3_k_s, q2_k, q2_k_s, tq2_0, tq1_0, q2_0, q1_0, mxfp4_moe (q3_k, q4_k, "
	       "q5_k and mxfp4 for short)";
}

const struct quant_mix *quant_mix_find(const char *name, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (!strcasecmp(others[i].name, name))
			name = others[i].means;
	for (size_t i = 0; i < ARRAY_LEN(mixtures); i++)
		if (!strcasecmp(mixtures[i].name, name))
			return &mixtures[i];
	if (!strncasecmp(name, "iq1", 3) || !strncasecmp(name, "iq2", 3) || !strncasecmp(name, "iq3", 3))
		err_set(e, "%.20s is only read: files of IQ1, IQ2 and IQ3 are not written; of few bits there are q2_k, "
		           "tq2_0 and tq1_0", name);
	else
		err_set(e, "'%.40s' is no type to quantize to; there are %s", name, quant_mix_names());
	return NULL;
}

/* --- what a tensor is --- */

enum kind {
	KIND_OTHER, KIND_EMBEDDING, KIND_HEAD, KIND_QUERY, KIND_KEY, KIND_VALUE, KIND_QKV, KIND_KV_B,
	KIND_ATTENTION_OUTPUT, KIND_UP, KIND_GATE, KIND_DOWN
};

static enum kind kind_of(const char *name)
{
	static const struct { const char *part; enum kind kind; } parts[] = {
		{ "attn_qkv.weight", KIND_QKV },   { "attn_kv_b.weight", KIND_KV_B },
		{ "attn_v.weight", KIND_VALUE },   { "attn_k.weight", KIND_KEY },
		{ "attn_q.weight", KIND_QUERY },   { "attn_output.weight", KIND_ATTENTION_OUTPUT },
		{ "ffn_up", KIND_UP },             { "ffn_gate", KIND_GATE },
		{ "ffn_down", KIND_DOWN },
	};

	if (!strcmp(name, "output.weight"))
		return KIND_HEAD;
	if (!strcmp(name, "token_embd.weight") || !strcmp(name, "per_layer_token_embd.weight"))
		return KIND_EMBEDDING;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (strstr(name, parts[i].part))
			return parts[i].kind;
	return KIND_OTHER;
}

static bool like_values(enum kind k) { return k == KIND_VALUE || k == KIND_QKV || k == KIND_KV_B; }

/* Small, or steering, or not to be multiplied with: stays as it is. */
static bool stays(const struct quant_mix_wish *w, const struct quant_mix_tensor *t)
{
	static const char *const parts[] = {
		"_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel",
		"per_layer_model_proj", "ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight",
		"indexer.q_proj.weight", "time_mix_first.weight", "time_mix_w0.weight", "time_mix_w1.weight",
		"time_mix_w2.weight", "time_mix_v0.weight", "time_mix_v1.weight", "time_mix_v2.weight",
		"time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight", "time_mix_g1.weight",
		"time_mix_g2.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight",
		"time_mix_lerp_fused.weight", "attn_rel_b.weight", ".position_embd", "sam.pos_embd", "sam.neck.",
		"sam.net_", ".rel_pos", ".patch_embd", ".patch_merger", "a.rvq.codebook", "mm.a.code_embd",
	};
	int dims = t->n_dims;

	while (dims > 1 && t->dim[dims - 1] == 1)
		dims--;
	if (dims < 2 || !text_ends(t->name, "weight"))
		return true;
	if (!strcmp(t->name, "position_embd.weight") || !strcmp(t->name, "token_types.weight"))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (strstr(t->name, parts[i]))
			return true;
	return w->leave_output && !strcmp(t->name, "output.weight");
}

/* --- the rules --- */

struct state {
	const struct quant_mix_wish *w;
	const struct quant_mix_facts *f;
	pcre2_code **code;                  /* [n_rules] */
	int64_t n_values, n_down, values, down;
	bool tied, is_70b;                  /* no head of its own; Llama's 70B */
};

static bool is(const struct state *s, const char *name) { return !strcmp(s->w->mixture->name, name); }

static bool groups_of_4(const struct state *s)
{
	return s->f->kv_heads > 0 && s->f->heads / s->f->kv_heads >= 4;
}

/* The first and the last eighth, and every third between. */
static bool more_bits(int64_t i, int64_t n)
{
	return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static enum dtype of_head(const struct state *s, const struct quant_mix_tensor *t, enum dtype type)
{
	if (s->w->output != DTYPE_COUNT)
		return s->w->output;
	if (is(s, "mxfp4_moe") || t->dim[0] % dtypes[type].block)
		return DTYPE_Q8_0;
	return type == DTYPE_Q8_0 ? type : DTYPE_Q6_K;
}

static enum dtype of_values(struct state *s, enum dtype type)
{
	int64_t i = s->values++;

	if (is(s, "q2_k"))
		type = groups_of_4(s) ? DTYPE_Q4_K : DTYPE_Q3_K;
	else if (is(s, "q2_k_s") && groups_of_4(s))
		type = DTYPE_Q4_K;
	else if (is(s, "q3_k_m"))
		type = i < 2 ? DTYPE_Q5_K : DTYPE_Q4_K;
	else if (is(s, "q3_k_l") || ((is(s, "iq4_nl") || is(s, "iq4_xs")) && groups_of_4(s)) ||
	         (is(s, "q4_k_s") && i < 4))
		type = DTYPE_Q5_K;
	else if ((is(s, "q4_k_m") || is(s, "q5_k_m")) && more_bits(i, s->n_values))
		type = DTYPE_Q6_K;
	if (s->is_70b && (type == DTYPE_Q3_K || type == DTYPE_Q4_K))
		type = DTYPE_Q5_K;
	return s->f->experts == 8 ? DTYPE_Q8_0 : type;
}

/* Experts' tensors do not come in the order of layers, so theirs is read from the name. */
static int64_t layer_of(const struct state *s, const char *name, int64_t counted)
{
	int layer;

	return s->f->experts > 1 && sscanf(name, "blk.%d.", &layer) == 1 ? layer : counted;
}

static enum dtype of_down(struct state *s, const char *name, enum dtype type)
{
	int64_t i = layer_of(s, name, s->down++), n = s->n_down;
	bool eighth = i < n / 8;

	if (is(s, "q2_k"))
		return DTYPE_Q3_K;
	if (is(s, "q2_k_s"))
		return eighth ? DTYPE_Q4_K : type;
	if (is(s, "q3_k_m"))
		return i < n / 16 ? DTYPE_Q5_K : DTYPE_Q4_K;
	if (is(s, "q3_k_l"))
		return DTYPE_Q5_K;
	if (is(s, "q4_k_m") || is(s, "q5_k_m"))
		return more_bits(i, n) ? DTYPE_Q6_K : type;
	if (eighth && (is(s, "q4_k_s") || ((is(s, "iq4_nl") || is(s, "iq4_xs")) && !s->w->importance)))
		return DTYPE_Q5_K;
	if (eighth && s->w->importance && is(s, "q4_0"))
		return DTYPE_Q4_1;
	if (eighth && s->w->importance && is(s, "q5_0"))
		return DTYPE_Q5_1;
	return type;
}

static enum dtype of_attention_output(const struct state *s, enum dtype type)
{
	static const char *const eight[] = { "q2_k", "q3_k_s", "q3_k_m", "iq4_nl", "q4_k_s", "q4_k_m", "iq4_xs" };

	for (size_t i = 0; s->f->experts == 8 && i < ARRAY_LEN(eight); i++)
		if (is(s, eight[i]))
			return DTYPE_Q5_K;
	if (s->f->experts == 8)
		return type;
	return is(s, "q2_k")   ? DTYPE_Q3_K :
	       is(s, "q3_k_m") ? DTYPE_Q4_K :
	       is(s, "q3_k_l") ? DTYPE_Q5_K :
	                         type;
}

/* By the mixture, before what does not divide. */
static enum dtype by_mixture(struct state *s, const struct quant_mix_tensor *t, enum kind k)
{
	enum dtype type = s->w->mixture->dtype;

	if (k == KIND_HEAD || (s->tied && k == KIND_EMBEDDING))
		return of_head(s, t, type);
	if (is(s, "mxfp4_moe"))
		return t->n_dims > 2 && t->dim[2] > 1 ? DTYPE_MXFP4 : DTYPE_Q8_0;
	if (k == KIND_EMBEDDING)
		return is(s, "tq1_0") || is(s, "tq2_0") || is(s, "q2_0") ? DTYPE_Q4_K : type;
	if (like_values(k))
		return of_values(s, type);
	if (k == KIND_KEY && s->f->experts == 8)
		return DTYPE_Q8_0;
	if (k == KIND_DOWN)
		return of_down(s, t->name, type);
	return k == KIND_ATTENTION_OUTPUT ? of_attention_output(s, type) : type;
}

static enum dtype fallback(struct quant_mix_tensor *t, enum dtype type)
{
	enum dtype to = type;

	if (t->dim[0] % dtypes[type].block == 0)
		return type;
	t->fell_back = true;
	switch (type) {
	case DTYPE_IQ4_XS: to = DTYPE_IQ4_NL; break;
	case DTYPE_Q2_0: case DTYPE_Q2_K: case DTYPE_Q3_K: case DTYPE_TQ1_0: case DTYPE_TQ2_0: to = DTYPE_Q4_0; break;
	case DTYPE_Q4_K: to = DTYPE_Q5_0; break;
	case DTYPE_Q5_K: to = DTYPE_Q5_1; break;
	case DTYPE_Q6_K: to = DTYPE_Q8_0; break;
	default:
		if (dtypes[type].block > 32) /* none is known; check() names it */
			return type;
	}
	return t->dim[0] % dtypes[to].block ? DTYPE_F16 : to;
}

/* --- the whole --- */

static int compile(const struct quant_mix_wish *w, pcre2_code **code, struct err *e)
{
	for (size_t i = 0; i < w->n_rules; i++) {
		PCRE2_UCHAR text[128];
		PCRE2_SIZE at;
		int number;
		code[i] = pcre2_compile((PCRE2_SPTR)w->rules[i].pattern, PCRE2_ZERO_TERMINATED, 0, &number, &at, NULL);
		if (code[i])
			continue;
		pcre2_get_error_message(number, text, sizeof(text));
		return err_set(e, "'%.80s' is no expression: %s at %zu", w->rules[i].pattern, text, at);
	}
	return 0;
}

/* The rule of the user's that fits a name; NULL: none. */
static const struct quant_mix_rule *rule_for(const struct state *s, const char *name)
{
	for (size_t i = 0; i < s->w->n_rules; i++) {
		pcre2_match_data *match = pcre2_match_data_create_from_pattern(s->code[i], NULL);
		int found = pcre2_match(s->code[i], (PCRE2_SPTR)name, PCRE2_ZERO_TERMINATED, 0, 0, match, NULL);
		pcre2_match_data_free(match);
		if (found > 0)
			return &s->w->rules[i];
	}
	return NULL;
}

static enum dtype type_for(struct state *s, struct quant_mix_tensor *t)
{
	const struct quant_mix_wish *w = s->w;
	enum kind k = kind_of(t->name);
	const struct quant_mix_rule *rule = rule_for(s, t->name);

	if (w->embedding != DTYPE_COUNT && k == KIND_EMBEDDING && !(rule && strcmp(t->name, "token_embd.weight")))
		return w->embedding;
	if (w->output != DTYPE_COUNT && k == KIND_HEAD)
		return w->output;
	if (dtypes[w->mixture->dtype].block == 1)
		return w->mixture->dtype;
	t->rule = rule;
	if (rule)
		return fallback(t, rule->dtype);
	return fallback(t, w->pure ? w->mixture->dtype : by_mixture(s, t, k));
}

static int check(const struct state *s, const struct quant_mix_tensor *t, struct err *e)
{
	bool ends = kind_of(t->name) == KIND_EMBEDDING || kind_of(t->name) == KIND_HEAD;

	if (t->to == t->dtype)
		return 0;
	if (!quantize_writes(t->to))
		return err_set(e, "'%.80s' was to be %s, which is only read, not written", t->name, dtypes[t->to].name);
	if (t->dim[0] % dtypes[t->to].block)
		return err_set(e, "'%.80s' has rows of %llu numbers, no multiple of %s's block of %u", t->name,
		               (unsigned long long)t->dim[0], dtypes[t->to].name, dtypes[t->to].block);
	if (t->to == DTYPE_Q2_K && is(s, "q2_k_s") && !ends && !s->w->importance)
		return err_set(e, "q2_k_s wants an importance matrix (--imatrix): without one its files are of no use");
	return 0;
}

static int choose_all(struct state *s, struct quant_mix_tensor *t, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		s->n_values += like_values(kind_of(t[i].name));
		s->tied &= kind_of(t[i].name) != KIND_HEAD;
	}
	for (size_t i = 0; i < n; i++) {
		t[i].fell_back = false;
		t[i].rule = NULL;
		t[i].to = stays(s->w, &t[i]) ? t[i].dtype : type_for(s, &t[i]);
		if (check(s, &t[i], e) < 0)
			return -1;
	}
	return 0;
}

int quant_mix_choose(const struct quant_mix_wish *w, const struct quant_mix_facts *f, struct quant_mix_tensor *t,
                     size_t n, struct err *e)
{
	static const char *const strange[] = { "falcon", "glm5-next", "bailingmoe3" };
	bool llama = !strcmp(f->architecture, "llama"), qwen2 = !strcmp(f->architecture, "qwen2");
	struct state s = { .w = w, .f = f, .n_down = f->layers, .tied = true };

	for (size_t i = 0; i < ARRAY_LEN(strange); i++)
		if (!strcmp(f->architecture, strange[i]))
			return err_set(e, "the types of a model of '%s' are chosen by rules of its own, which kungfu "
			                  "does not have", strange[i]);
	s.is_70b = f->layers == LAYERS_70B && (qwen2 || (llama && f->heads != f->kv_heads));
	s.code = mem_array(w->n_rules + 1, sizeof(*s.code));
	int status = compile(w, s.code, e);
	if (status == 0)
		status = choose_all(&s, t, n, e);
	for (size_t i = 0; i < w->n_rules; i++)
		pcre2_code_free(s.code[i]);
	mem_free(s.code);
	return status;
}

static int by_layer(const void *a, const void *b)
{
	const struct quant_mix_tensor *x = a, *y = b;
	int i = -1, j = -1;

	sscanf(x->name, "blk.%d.", &i);
	sscanf(y->name, "blk.%d.", &j);
	return i != j ? (i > j) - (i < j) : strcmp(x->name, y->name);
}

void quant_mix_sort(struct quant_mix_tensor *t, size_t n)
{
	if (n)
		qsort(t, n, sizeof(*t), by_layer);
}
