/* test_config: facts by table: defaults, a later table's rows, what is refused in which words; Llama's rotary positions
 * in the three places where a config.json may have them; config.json written back; and of every architecture that its
 * tables hold together. */
#include "../test.h"

#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "fixture_gguf.h"
#include "model/config.h"
#include "model/gemma.h"
#include "model/weights.h"

struct own {
	int experts;
};

static const struct config_field common[] = {
	CONFIG_INT('L', "layers", NULL, NULL, NULL, struct config, n_layers),
	CONFIG_INT('C', "width", NULL, NULL, NULL, struct config, C),
	CONFIG_INT('H', "heads", "4", NULL, NULL, struct config, H),
	CONFIG_INT('G', "kv_heads", "H", NULL, NULL, struct config, G),
	CONFIG_INT('D', "head_dim", "C/H", NULL, NULL, struct config, D),
	CONFIG_INT('F', NULL, "4C+2HD", NULL, NULL, struct config, F),
	CONFIG_REAL("eps", "1e-6", NULL, NULL, struct config, norm_eps),
	CONFIG_IS("act", "silu swish", NULL, NULL),
	CONFIG_IS("window", "false", NULL, NULL),
	{ 0 },
};

static const struct config_field cousin[] = {
	CONFIG_INT('D', "head_dim", "16", NULL, NULL, struct config, D),
	CONFIG_INT('E', "experts", "8", NULL, NULL, struct own, experts),
	CONFIG_IS("rotated", "D", NULL, NULL),
	CONFIG_IS("scaled", "true", NULL, NULL),
	CONFIG_EACH("layer_types", "full_attention"),
	{ 0 },
};

static const struct config_field *const one[] = { common, NULL }, *const both[] = { common, cousin, NULL };

static int read_text(struct config *c, struct own *own, const struct config_field *const *fields, const char *text,
                     struct err *e)
{
	static const char *const types[] = { "x", NULL };
	static struct arch arch;
	json_t *j = jsonx_load(text, strlen(text), "config.json", e);

	arch = (struct arch){ .name = "x", .hf_types = types, .hf_class = "X", .fields = fields };
	*c = (struct config){ .arch = &arch, .own = own };
	int status = j ? config_read(c, &(struct config_source){ .json = j, .where = "config.json" }, e) : -1;
	json_decref(j);
	return status;
}

static void test_values(struct test *t)
{
	struct config c;
	struct own own;
	struct err e = ERR_INIT;

	test_case(t, "defaults, null, letters, and a later table in an earlier one's place");
	int status = read_text(&c, &own, one, "{\"layers\": 2, \"width\": 32, \"kv_heads\": null}", &e);
	CHECK_MSG(t, status == 0, "%s", e.msg);
	CHECK(t, c.H == 4 && c.G == 4 && c.D == 8 && c.F == 4 * 32 + 2 * 4 * 8 && c.norm_eps == 1e-6);
	status = read_text(&c, &own, both, "{\"layers\": 2, \"width\": 32, \"rotated\": 16}", &e);
	CHECK_MSG(t, status == 0, "%s", e.msg);
	CHECK(t, c.D == 16 && c.F == 4 * 32 + 2 * 4 * 16 && own.experts == 8);
	CHECK(t, config_value(&c, "HD+2GD", 6) == 4 * 16 + 2 * 4 * 16 && config_value(&c, "E", 1) == 8);
	CHECK(t, config_value(&c, "CZ", 2) == -1 && config_value(&c, "12C", 3) == 12 * 32);
	json_t *j = config_json(&c, &e);
	CHECK(t, json_integer_value(json_object_get(j, "head_dim")) == 16 && json_object_size(j) == 13 &&
	                 json_is_false(json_object_get(j, "window")) &&
	                 !strcmp(json_string_value(json_object_get(j, "act")), "silu"));
	json_decref(j);
}

static void refused(struct test *t, const char *text, const char *words)
{
	struct config c;
	struct own own;
	struct err e = ERR_INIT;
	char *full = mem_printf("{\"layers\": 2, \"width\": 32%s%s}", *text ? ", " : "", text);

	CHECK_MSG(t, read_text(&c, &own, both, full, &e) < 0 && strstr(e.msg, words),
	          "%s: '%s' was wanted, '%s' was said", full, words, e.msg);
	mem_free(full);
}

static void test_refusals(struct test *t)
{
	struct config c;
	struct own own;
	struct err e = ERR_INIT;

	test_case(t, "what is refused, in which words");
	refused(t, "\"act\": \"relu\"", "act is \"relu\", this architecture is computed with \"silu\"");
	refused(t, "\"act\": 3", "act is 3, this architecture is computed with silu");
	refused(t, "\"window\": true", "window is true, this architecture is computed without");
	refused(t, "\"scaled\": false", "scaled is false, this architecture is computed with it");
	refused(t, "\"rotated\": 8", "rotated is 8, this architecture is computed with 16");
	refused(t, "\"layer_types\": [\"full_attention\", \"sliding\"]", "layer_types is \"sliding\"");
	refused(t, "\"layer_types\": \"full_attention\"", "layer_types is no list");
	refused(t, "\"heads\": 0", "heads is 0, wanted a number from 1");
	refused(t, "\"heads\": \"4\"", "heads");
	refused(t, "\"eps\": -1", "eps is missing or not above 0");
	refused(t, "\"heads\": 3, \"kv_heads\": 2", "3 attention heads on 2 key-value heads");
	refused(t, "\"head_dim\": 7", "heads of 7 numbers");
	CHECK(t, read_text(&c, &own, one, "{\"layers\": 2, \"width\": 33}", &e) < 0 &&
	                 strstr(e.msg, "width 33 is no multiple of heads 4"));
	CHECK(t, read_text(&c, &own, one, "{\"width\": 32}", &e) < 0 && strstr(e.msg, "layers"));
}

/* --- rotary positions --- */

static const struct arch *find_arch(const char *name)
{
	size_t i = 0;

	while (arch_table[i] && strcmp(arch_table[i]->name, name) != 0)
		i++;
	return arch_table[i];
}

/* A file of two layers that says this too. */
static int read_arch(struct config *c, const char *arch, const char *more, struct err *e)
{
	const struct arch *a = find_arch(arch);
	char *text = mem_printf("{\"num_hidden_layers\": 2, \"hidden_size\": 8, \"num_attention_heads\": 2, "
	                        "\"num_key_value_heads\": 2, \"head_dim\": 4, "
	                        "\"intermediate_size\": 8, \"vocab_size\": 8, %s}", more);

	*c = (struct config){ .arch = a, .own = mem_alloc(a->own_bytes + 1) };
	memset(c->own, 0, a->own_bytes + 1);
	json_t *j = jsonx_load(text, strlen(text), "config.json", e);
	int status = config_read(c, &(struct config_source){ .json = j, .where = "config.json" }, e);
	json_decref(j);
	mem_free(text);
	return status;
}

static void arch_refuses(struct test *t, const char *arch, const char *more, const char *words)
{
	struct config c;
	struct err e = ERR_INIT;
	int status = read_arch(&c, arch, more, &e);

	CHECK_MSG(t, status < 0 && strstr(e.msg, words), "%s, %s: '%s' was wanted, '%s' was said", arch, more, words,
	          e.msg);
	mem_free(c.own);
}

/* The base that is read, −1: refused, with these words. */
static void check_rope(struct test *t, const char *rope, double theta, const char *words)
{
	struct config c;
	struct err e = ERR_INIT;
	int status = read_arch(&c, "llama", rope, &e);

	if (theta > 0)
		CHECK_MSG(t, status == 0 && c.rope_theta == theta, "%s: %g, %s", rope, c.rope_theta, e.msg);
	else
		CHECK_MSG(t, status < 0 && strstr(e.msg, words), "%s: '%s' was wanted, '%s' was said", rope, words,
		          e.msg);
	mem_free(c.own);
}

/* What Gemma 3's two kinds of layers turn by: bases, and the factor of those that see all. */
static void check_layers_rope(struct test *t, const char *rope, double theta, double local, double factor)
{
	struct config c;
	struct err e = ERR_INIT;
	int status = read_arch(&c, "gemma3", rope, &e);
	const struct gemma *own = c.own;

	CHECK_MSG(t, status == 0 && c.rope_theta == theta && own->local_theta == local &&
	                     c.rope_scaling.factor == factor && own->local_scaling.kind == ROPE_PLAIN,
	          "%s: %g and %g, factor %g, %s", rope, c.rope_theta, own->local_theta, c.rope_scaling.factor, e.msg);
	mem_free(c.own);
}

static void test_layers_rope(struct test *t)
{
#define LINEAR "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 8.0"
#define FULL "\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\", \"rope_theta\": 7}"
	test_case(t, "two kinds of layers: rope_scaling is said of those that see all, over what rope_parameters says");
	check_layers_rope(t, "\"x\": 0", 1e6, 1e4, 0);
	check_layers_rope(t, "\"rope_theta\": 5, \"rope_local_base_freq\": 3", 5, 3, 0);
	check_layers_rope(t, LINEAR "}", 1e6, 1e4, 8);
	check_layers_rope(t, LINEAR "}, \"rope_theta\": 5, \"rope_local_base_freq\": 3", 5, 3, 8);
	check_layers_rope(t, FULL "}, \"rope_theta\": 5", 7, 1e4, 0);
	check_layers_rope(t, FULL "}, " LINEAR "}", 7, 1e4, 8);
	check_layers_rope(t, FULL "}, " LINEAR ", \"rope_theta\": 9}", 9, 1e4, 8);
	check_layers_rope(t, FULL ", \"sliding_attention\": {\"rope_theta\": 2}}", 7, 2, 0);
	test_case(t, "and what transformers leaves unread there is refused by name");
	arch_refuses(t, "gemma3", "\"rope_parameters\": {\"rope_theta\": 7}", "rope_parameters has rope_theta");
	arch_refuses(t, "gemma3", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 8.0}", "its kind as type");
	arch_refuses(t, "gemma3", "\"rope_scaling\": {\"full_attention\": {\"rope_theta\": 7}}", "of its own");
	arch_refuses(t, "gemma3", "\"rope_parameters\": {\"full_attention\": 7}", "full_attention is no object");
	arch_refuses(t, "modernbert", "\"sliding_window\": 0", "half was wanted: 64");
#undef LINEAR
#undef FULL
}

static void test_none(struct test *t)
{
	struct config c;
	struct err e = ERR_INIT;

	test_case(t, "what a model may be without is null in config.json: transformers computes with a 0");
	arch_refuses(t, "gemma2", "\"final_logit_softcapping\": 0.0", "final_logit_softcapping is 0, wanted");
	arch_refuses(t, "gemma2", "\"attn_logit_softcapping\": 0", "or null for none");
	arch_refuses(t, "olmoe", "\"num_experts\": 2, \"clip_qkv\": 0.0", "clip_qkv is 0");
	arch_refuses(t, "gemma3", "\"attn_logit_softcapping\": 50.0", "attn_logit_softcapping is 50.0");
	arch_refuses(t, "rwkv", "\"layer_norm_epsilon\": 1e-6", "computed with 1e-5");
	CHECK_MSG(t, read_arch(&c, "mixtral", "\"router_aux_loss_coef\": 0.0", &e) == 0, "%s", e.msg);
	mem_free(c.own);
}

static void test_rope(struct test *t)
{
	test_case(t, "rope_theta, rope_scaling and rope_parameters, each and together, as transformers takes them");
	check_rope(t, "\"x\": 0", 10000, NULL);
	check_rope(t, "\"rope_theta\": 500", 500, NULL);
	check_rope(t, "\"rope_theta\": 500, \"rope_scaling\": null", 500, NULL);
	check_rope(t, "\"rope_parameters\": {\"rope_theta\": 500, \"rope_type\": \"default\"}", 500, NULL);
	check_rope(t, "\"rope_parameters\": {\"rope_type\": \"default\"}, \"rope_theta\": 500", 500, NULL);
	check_rope(t, "\"rope_parameters\": {\"rope_theta\": 7}, \"rope_theta\": 500", 7, NULL);
	check_rope(t, "\"rope_scaling\": {\"type\": \"default\"}, \"rope_parameters\": {\"rope_theta\": 7}", 10000,
	           NULL);
	check_rope(t, "\"rope_scaling\": {}, \"rope_parameters\": {\"rope_theta\": 7}", 7, NULL);
	check_rope(t, "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0}", 10000, NULL);
	check_rope(t, "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 4.0}, "
	              "\"rope_parameters\": {\"rope_theta\": 7, \"rope_type\": \"default\"}",
	           10000, NULL);
	test_case(t, "a scaling that lacks what it needs, or is of no known kind, is refused by name");
	check_rope(t, "\"rope_scaling\": {\"type\": \"linear\"}", -1, "without a factor");
	check_rope(t, "\"rope_parameters\": {\"rope_type\": \"mrope\"}", -1, "rope_type is \"mrope\"");
	check_rope(t, "\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
	              "\"high_freq_factor\": 1}", -1, "low_freq_factor below");
	check_rope(t, "\"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [1], \"long_factor\": [1]}", -1,
	           "short_factor");
	check_rope(t, "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}", -1, "factor is 0");
	check_rope(t, "\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 7}}", -1, "full_attention");
	check_rope(t, "\"rope_parameters\": 3", -1, "rope_parameters is no object");
}

/* The scaling of a file that says these two: its kind, or -1 and words. */
static void check_gguf_rope(struct test *t, const char *type, float factor, float attention, int kind,
                            const char *words)
{
	struct gguf_fixture f = { 0 };
	struct buf out = BUF_INIT;
	struct gguf g;
	struct rope_scaling s;
	struct err e = ERR_INIT;

	fixture_str(&f, "general.architecture", "llama");
	fixture_f32(&f, "llama.rope.scaling.factor", factor);
	if (type)
		fixture_str(&f, "llama.rope.scaling.type", type);
	if (attention > 0)
		fixture_f32(&f, "llama.rope.scaling.attn_factor", attention);
	fixture_finish(&f, &out);
	int status = gguf_parse(&g, (const uint8_t *)buf_str(&out), out.len, "x.gguf", &e);
	CHECK_MSG(t, status == 0, "%s", e.msg);
	status = status ? status : rope_scaling_gguf(&s, &g, "llama", 4, &e);
	if (kind >= 0)
		CHECK_MSG(t, status == 0 && (int)s.kind == kind && s.factor == (double)factor, "%s %g: %s",
		          type ? type : "no type", (double)factor, e.msg);
	else
		CHECK_MSG(t, status < 0 && strstr(e.msg, words), "'%s' was wanted, '%s' was said", words, e.msg);
	gguf_close(&g);
	buf_release(&out);
}

static void test_gguf_rope(struct test *t)
{
	test_case(t, "GGUF: a factor without a type is linear, below 1 too, as llama.cpp takes it");
	check_gguf_rope(t, NULL, 4, 0, ROPE_LINEAR, NULL);
	check_gguf_rope(t, NULL, 0.5F, 0, ROPE_LINEAR, NULL);
	check_gguf_rope(t, NULL, 1, 0, ROPE_PLAIN, NULL);
	check_gguf_rope(t, "none", 4, 0, ROPE_PLAIN, NULL);
	test_case(t, "GGUF: what llama.cpp scales cosines by whatever the kind is refused where it is not computed");
	check_gguf_rope(t, "linear", 4, 0.5F, -1, "attn_factor is 0.5");
	check_gguf_rope(t, "none", 1, 2, -1, "attn_factor is 2");
	check_gguf_rope(t, NULL, 1, 1, ROPE_PLAIN, NULL);
	check_gguf_rope(t, "yarn", 4, 0.5F, ROPE_YARN, NULL);
}

/* --- every architecture --- */

/* A letter is one fact, whichever table's row says it. */
static void check_letters(struct test *t, const struct arch *a)
{
	const struct config_field *seen[128] = { 0 };

	for (const struct config_field *const *table = a->fields; *table; table++)
		for (const struct config_field *f = *table; f->kind; f++) {
			const struct config_field **first = &seen[(unsigned char)f->letter & 127];
			*first = *first && f->letter ? *first : f;
			CHECK_MSG(t, (*first)->own == f->own && (*first)->at == f->at && (*first)->kind == f->kind,
			          "%c", f->letter);
		}
}

/* Shapes know their letters, the head and the embedding are in the table, a default is there or the key is. */
static void test_tables(struct test *t)
{
	for (size_t i = 0; arch_table[i]; i++) {
		const struct arch *a = arch_table[i];
		test_case(t, "%s: its tables hold together", a->name);
		struct config c = { .arch = a, .own = mem_alloc(a->own_bytes + 1) };
		check_letters(t, a);
		CHECK(t, weight_spec(a, a->head) && weight_spec(a, a->embedding) && a->embed && a->block && a->norm);
		CHECK(t, weight_spec(a, a->head)->flags & WEIGHT_HEAD);
		CHECK(t, weight_spec(a, a->embedding)->flags & WEIGHT_EMBED);
		CHECK(t, !strncmp(a->embedding, a->prefix, strlen(a->prefix)));
		CHECK(t, a->hf_types[0] || a->gguf);
		/* One that GGUF alone has is never written as a folder. */
		CHECK(t, !a->gguf || !a->hf_types[0] || a->hf_class);
		for (const struct weight_spec *s = a->weights; s->hf; s++) {
			for (const char *at = s->shape; at && *at; at += strcspn(at, ","), at += *at == ',')
				CHECK_MSG(t, config_value(&c, at, strcspn(at, ",")) >= 0, "%s: %s", s->hf, s->shape);
			CHECK_MSG(t, s->shape || (s->flags & WEIGHT_IGNORED), "%s has no shape", s->hf);
			CHECK_MSG(t,
			          !a->gguf || !s->shape || s->gguf ||
			                  (s->flags & (WEIGHT_OF_HEAD | WEIGHT_OF_DENSE)),
			          "%s has no name in GGUF", s->hf);
		}
		mem_free(c.own);
	}
}

void test_config(struct test *t);
void test_config(struct test *t)
{
	test_values(t);
	test_refusals(t);
	test_rope(t);
	test_layers_rope(t);
	test_none(t);
	test_gguf_rope(t);
	test_tables(t);
}
