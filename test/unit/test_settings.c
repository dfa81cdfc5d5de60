/* test_settings: no setting of a model is ignored. Every key of every table of settings has its case, made from the
 * table: at one of its words the file is taken in silence; at another value IS refuses it by its name, TOLD warns with
 * its name; USED and HARMLESS take any. Every key that an architecture reads changes what is read of the file, or is
 * refused, in config.json and in GGUF. Keys that no table has go by the rule. */
#include "../test.h"

#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "infer/generate_known.h"
#include "model/config.h"
#include "model/config_known.h"
#include "token/tokenizer_known.h"

/* --- what is said --- */

static struct buf said;

static void hear(void *ctx, enum log_level level, const char *text)
{
	(void)ctx;
	(void)level;
	buf_addf(&said, "%s\n", text);
}

static const struct log_sink ear = { hear, NULL };

/* A key of the pattern, of n bytes. */
static char *a_key(const char *pattern, size_t n)
{
	return pattern[0] == '*' ? mem_printf("some%.*s", (int)n - 1, pattern + 1) :
	       pattern[n - 1] == '*' ? mem_printf("%.*ssome", (int)n - 1, pattern) :
	                               mem_printf("%.*s", (int)n, pattern);
}

/* What no word is. */
static json_t *foreign(void) { return json_pack("[s]", "something else"); }

/* The value that a word stands for. */
static json_t *value_of(const char *words)
{
	char *end, *word = mem_printf("%.*s", (int)strcspn(words, " "), words);
	double number = strtod(word, &end);
	json_t *value = !strcmp(word, "empty") ? json_array() :
	                !strcmp(word, "true") || !strcmp(word, "false") ? json_boolean(*word == 't') :
	                !*end ? json_real(number) : json_string(word);

	mem_free(word);
	return value;
}

/* --- tables --- */

static int judge(const struct setting *table, const char *key, json_t *value, struct err *e)
{
	struct settings s = { .where = "file", .table = table, .numbers = true };
	const struct log_sink *before = log_lend(&ear);
	int status = settings_judge(&s, key, value, e);

	buf_clear(&said);
	settings_tell(&s);
	log_lend(before);
	json_decref(value);
	return status;
}

static void check_key(struct test *t, const struct setting *table, const struct setting *row, const char *key)
{
	struct err e = ERR_INIT;
	bool judged = row->kind == SETTING_IS || row->kind == SETTING_TOLD;
	int status = judge(table, key, judged ? value_of(row->words) : json_null(), &e);

	if (setting_find(table, key) != row) /* a row before it has the key that was made of a pattern */
		return;
	CHECK_MSG(t, status == 0 && !said.len, "%s: %s%s", key, e.msg, buf_str(&said));
	status = judge(table, key, foreign(), &e);
	CHECK_MSG(t, status == (row->kind == SETTING_IS ? -1 : 0), "%s", key);
	CHECK_MSG(t, status == 0 || (strstr(e.msg, key) && strstr(e.msg, "something else")), "%s: %s", key, e.msg);
	CHECK_MSG(t, (said.len > 0) == (row->kind == SETTING_TOLD), "%s: %s", key, buf_str(&said));
	CHECK_MSG(t, !said.len || strstr(said.data, key), "%s: %s", key, buf_str(&said));
}

static void check_table(struct test *t, const char *name, const struct setting *table)
{
	test_case(t, "every key of %s", name);
	for (const struct setting *row = table; row->keys; row++) {
		CHECK_MSG(t, row->words, "%s says no word", row->keys);
		for (const char *at = row->keys; *at; at += strspn(at, " ")) {
			size_t n = strcspn(at, " ");
			char *key = a_key(at, n);
			check_key(t, table, row, key);
			mem_free(key);
			at += n;
		}
	}
}

/* --- the rule --- */

static void test_rule(struct test *t)
{
	static const struct setting none[] = { { 0 } };
	static const struct { const char *key, *value; int status; bool said; } cases[] = {
		{ "foo", "null", 0, false },
		{ "foo", "false", 0, false },
		{ "foo", "0", 0, false },
		{ "foo", "0.0", 0, false },
		{ "foo", "\"\"", 0, false },
		{ "foo", "[]", 0, false },
		{ "foo", "{}", 0, false },
		{ "foo", "7", 0, true },
		{ "foo", "{\"a\": 1}", 0, true },
		{ "final_logit_softcapping", "30.0", -1, false },
		{ "attn_logit_softcapping", "null", 0, false },
		{ "embedding_multiplier", "12.0", -1, false },
		{ "embedding_multiplier", "1.0", 0, false },
		{ "logits_scaling", "8", -1, false },
		{ "sliding_window_pattern", "6", -1, false },
		{ "rope_local_base_freq", "10000.0", -1, false },
		{ "num_local_experts", "8", -1, false },
		{ "use_qk_norm", "true", -1, false },
		{ "use_qk_norm", "false", 0, false },
		{ "lm_head_bias", "true", -1, false },
		{ "clip_qkv", "8.0", -1, false },
		{ "normalized_by", "\"somebody\"", 0, true },
	};

	test_case(t, "unknown keys");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		json_t *value = json_loads(cases[i].value, JSON_DECODE_ANY, NULL);
		int status = judge(none, cases[i].key, value, &e);
		CHECK_MSG(t, status == cases[i].status && (said.len > 0) == cases[i].said, "%s %s: %s%s", cases[i].key,
		          cases[i].value, e.msg, buf_str(&said));
		CHECK(t, status == 0 || strstr(e.msg, cases[i].key));
		CHECK(t, !said.len || strstr(said.data, cases[i].key));
	}
	test_case(t, "unknown keys of a file, in one line");
	json_t *j = json_pack("{s:i, s:i, s:n}", "one", 1, "two", 2, "three");
	struct settings s = { .where = "file", .table = none };
	struct err e = ERR_INIT;
	const struct log_sink *before = log_lend(&ear);
	CHECK(t, settings_judge_all(&s, j, &e) == 0);
	buf_clear(&said);
	settings_tell(&s);
	log_lend(before);
	CHECK_MSG(t, !strcmp(buf_str(&said), "file: not known and not used: one, two\n"), "%s", buf_str(&said));
	json_decref(j);
}

/* --- what architectures read --- */

static int read_config(struct model *m, const json_t *config, const struct gguf *g, struct config *c, void *own,
                       struct err *e)
{
	const struct log_sink *before = log_lend(&ear);
	struct config_source s = { .json = config, .gguf = g, .where = "file" };

	buf_clear(&said);
	memset(c, 0, sizeof(*c));
	memset(own, 0, m->config.arch->own_bytes + 1);
	c->arch = m->config.arch;
	c->own = own;
	int status = config_read(c, &s, e);
	log_lend(before);
	return status;
}

/* Is what is read with this key another than without, or is it refused, by its name if `strict`? */
static void check_counts(struct test *t, struct model *m, const char *key, bool strict, const json_t *config,
                         const struct gguf *g)
{
	size_t n = m->config.arch->own_bytes;
	void *own = mem_alloc(n + 1);
	struct config c;
	struct err e = ERR_INIT;

	if (read_config(m, config, g, &c, own, &e) < 0) { /* maybe because it fits no other key */
		CHECK_MSG(t, !strict || strstr(e.msg, key), "%s: %s", key, e.msg);
	} else {
		struct config same = c;
		same.own = m->config.own;
		CHECK_MSG(t, memcmp(&same, &m->config, sizeof(c)) || memcmp(own, m->config.own, n), "%s is ignored",
		          key);
	}
	mem_free(own);
}

/* A value that the model has not. */
static json_t *other_value(const struct config *c, const struct config_field *f)
{
	const void *at = (const char *)(f->own ? c->own : (const void *)c) + f->at;

	switch (f->kind) {
	case CONFIG_KIND_INT: return json_integer(*(const int *)at + 12);
	case CONFIG_KIND_REAL: return json_real(*(const double *)at * 2 + 0.125);
	case CONFIG_KIND_FLAG: return json_boolean(!*(const bool *)at);
	default: return foreign();
	}
}

static const struct config_field *field_of(const struct arch *a, const char *hf)
{
	const struct config_field *found = NULL;

	for (const struct config_field *const *table = a->fields; *table; table++)
		for (const struct config_field *f = *table; f->kind; f++)
			if (f->hf && !strcmp(f->hf, hf))
				found = f;
	return found;
}

/* Facts of positions that moved into this object, where they count before a key of their own; layers have some too. */
static void forget_moved(json_t *rope)
{
	const char *name;
	json_t *layers;

	json_object_del(rope, "rope_theta");
	json_object_del(rope, "partial_rotary_factor");
	json_object_foreach(rope, name, layers)
		json_object_del(layers, "rope_theta");
}

static void check_json_field(struct test *t, struct model *m, const struct config_field *f)
{
	const struct config_field *is = f->kind == CONFIG_KIND_ALSO ? field_of(m->config.arch, f->hf_init) : f;
	json_t *j = json_deep_copy(m->source.config);

	CHECK_MSG(t, is, "%s is another name of nothing", f->hf);
	forget_moved(json_object_get(j, "rope_parameters"));
	json_object_set_new(j, f->hf, other_value(&m->config, is));
	check_counts(t, m, f->hf, f->kind == CONFIG_KIND_IS || f->kind == CONFIG_KIND_EACH, j, NULL);
	json_decref(j);
}

static void check_gguf_field(struct test *t, struct model *m, const struct config_field *f)
{
	struct gguf g = m->source.gguf;
	struct gguf_kv *kv = mem_array(g.n_kv + 1, sizeof(*kv));
	char *key = mem_printf("%s.%s", m->config.arch->gguf, f->gguf);
	struct gguf_kv one = { .key = key, .type = GGUF_U32 };
	json_t *other = other_value(&m->config, f);

	if (f->kind == CONFIG_KIND_INT) {
		one.value.u = (uint64_t)json_integer_value(other);
	} else if (f->kind == CONFIG_KIND_REAL) {
		one.type = GGUF_F32;
		one.value.f = (float)json_real_value(other);
	} else {
		one.type = GGUF_STRING;
		one.value.s = (struct gguf_string){ "something else", 14 };
	}
	g.n_kv = 0;
	for (size_t i = 0; i < m->source.gguf.n_kv; i++)
		if (strcmp(m->source.gguf.kv[i].key, key))
			kv[g.n_kv++] = m->source.gguf.kv[i];
	kv[g.n_kv++] = one;
	g.kv = kv;
	check_counts(t, m, f->gguf, f->kind == CONFIG_KIND_IS, NULL, &g);
	json_decref(other);
	mem_free(key);
	mem_free(kv);
}

/* What the shared tables refuse is refused by who reads a file, by its name, unless the architecture reads it. */
static void check_shared(struct test *t, struct model *m)
{
	void *own = mem_alloc(m->config.arch->own_bytes + 1);

	for (const struct setting *row = config_known; row->keys && !m->source.is_gguf; row++)
		for (const char *at = row->keys; row->kind == SETTING_IS && *at; at += strspn(at, " ")) {
			size_t n = strcspn(at, " ");
			char *key = a_key(at, n);
			json_t *j = json_copy(m->source.config);
			struct config c;
			struct err e = ERR_INIT;
			const struct config_field *f = field_of(m->config.arch, key);
			json_object_set_new(j, key, foreign());
			int status = read_config(m, j, NULL, &c, own, &e);
			CHECK_MSG(t, (status < 0 && strstr(e.msg, key)) || (f && f->kind == CONFIG_KIND_HARMLESS),
			          "%s: %s", key, e.msg);
			json_decref(j);
			mem_free(key);
			at += n;
		}
	mem_free(own);
}

/* Of a model in test/golden; what else lies there is passed over. */
static void check_arch(struct test *t, const char *name)
{
	char *path = io_join(test_golden(), name);
	const struct log_sink *before = log_lend(&ear);
	struct err e = ERR_INIT;
	struct model m;
	int status = model_open_facts(&m, path, &e);

	log_lend(before);
	mem_free(path);
	if (status < 0)
		return;
	test_case(t, "%s: every key that its tables read counts", name);
	for (const struct config_field *const *table = m.config.arch->fields; *table; table++)
		for (const struct config_field *f = *table; f->kind; f++) {
			if (f->kind == CONFIG_KIND_HARMLESS)
				CHECK(t, f->hf_init && (f->hf || f->gguf));
			else if (f->hf && !m.source.is_gguf)
				check_json_field(t, &m, f);
			else if (f->gguf && m.source.is_gguf && f->kind != CONFIG_KIND_FLAG)
				check_gguf_field(t, &m, f);
		}
	check_shared(t, &m);
	model_close(&m);
}

static void test_archs_count(struct test *t)
{
	struct err e = ERR_INIT;
	char **names;
	size_t n = 0;

	CHECK_MSG(t, io_list(test_golden(), &names, &n, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < n; i++)
		check_arch(t, names[i]);
	io_list_free(names, n);
}

/* --- what files ask of generating --- */

static bool is_given(const void *ctx, const char *option) { return ctx && strcmp(ctx, option) == 0; }

static void check_asks(struct test *t, const struct model *m, const char *given, const char *want)
{
	struct buf asks = BUF_INIT;

	generate_asks(m, &(struct generate_given){ is_given, given }, &asks);
	CHECK_MSG(t, !strcmp(buf_str(&asks), want), "'%s', wanted '%s'", buf_str(&asks), want);
	buf_release(&asks);
}

static void test_asks(struct test *t)
{
	static const struct { const char *config, *given, *want; } cases[] = {
		{ "{}", NULL, "" },
		{ "{\"temperature\": 0.6, \"top_p\": 0.9}", NULL, "" },
		{ "{\"do_sample\": true}", NULL, "--temperature 1 --top-k 50" },
		{ "{\"do_sample\": true, \"temperature\": 0.6, \"top_k\": 20, \"top_p\": 0.95}", NULL,
		  "--temperature 0.6 --top-k 20 --top-p 0.95" },
		{ "{\"do_sample\": true, \"temperature\": 0.6, \"top_k\": 0, \"top_p\": 1}", NULL,
		  "--temperature 0.6" },
		{ "{\"do_sample\": true, \"top_k\": 20, \"repetition_penalty\": 1.1}", "temperature",
		  "--repetition-penalty 1.1" },
		{ "{\"repetition_penalty\": 1.1}", NULL, "--repetition-penalty 1.1" },
		{ "{\"repetition_penalty\": 1.1}", "repetition-penalty", "" },
		{ "{\"repetition_penalty\": 1.0}", NULL, "" },
	};
	struct gguf_kv kv[] = {
		{ .key = "general.sampling.temp", .type = GGUF_F32, .value.f = 0.5 },
		{ .key = "general.sampling.top_k", .type = GGUF_I32, .value.i = 7 },
		{ .key = "general.sampling.penalty_last_n", .type = GGUF_I32, .value.i = 64 },
	};
	struct model gguf = { .source = { .is_gguf = true, .gguf = { .kv = kv, .n_kv = ARRAY_LEN(kv) } } };

	test_case(t, "what generation_config.json asks for, as options");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct model m = { .source.generation_config = json_loads(cases[i].config, 0, NULL) };
		check_asks(t, &m, cases[i].given, cases[i].want);
		json_decref(m.source.generation_config);
	}
	test_case(t, "what a GGUF asks for, as options");
	check_asks(t, &gguf, NULL, "--temperature 0.5 --top-k 7 --repeat-last-n 64");
	check_asks(t, &gguf, "temperature", "--repeat-last-n 64");
}

void test_settings(struct test *t)
{
	check_table(t, "config.json", config_known);
	check_table(t, "rope_parameters", rope_known);
	check_table(t, "GGUF's architecture", gguf_arch_known);
	check_table(t, "GGUF's other keys", gguf_other_known);
	check_table(t, "tokenizer_config.json", tokenizer_config_known);
	check_table(t, "tokenizer.json", tokenizer_json_known);
	check_table(t, "generation_config.json", generate_known);
	check_table(t, "GGUF's sampling", generate_gguf_known);
	test_rule(t);
	test_asks(t);
	test_archs_count(t);
	buf_release(&said);
}
