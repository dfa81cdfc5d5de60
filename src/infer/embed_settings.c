/* embed_settings: sentence-transformers' files of a folder, and GGUF's one key. Sources: sentence-transformers' modules
 * (transformer.py, pooling.py, normalize.py), whose keys changed names in its version 6; llama.cpp's
 * enum llama_pooling_type. See embed_settings.h. */
#include "infer/embed_settings.h"

#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"
#include "format/gguf_write.h"
#include "format/settings.h"

static const struct setting transformer_known[] = {
	{ "max_seq_length do_lower_case", SETTING_USED, "embeddings", NULL },
	{ "transformer_task", SETTING_IS, "feature-extraction", NULL },
	{ "module_output_name", SETTING_IS, "token_embeddings", NULL },
	{ "modality_config processing_kwargs unpad_inputs backend *_kwargs *_args", SETTING_HARMLESS,
	  "how it is loaded", NULL },
	{ 0 },
};

/* --- parts of a folder --- */

/* The object in DIR/PATH/NAME; NULL where there is no such file, or a sentence is in e. */
static json_t *load(const struct model *m, const char *path, const char *name, char **where, struct err *e)
{
	char *dir = *path ? io_join(m->source.path, path) : mem_strdup(m->source.path);
	json_t *j = NULL;

	*where = io_join(dir, name);
	mem_free(dir);
	if (io_exists(*where))
		j = jsonx_load_file(*where, e);
	return j;
}

static const char *last_part(const char *type)
{
	const char *dot = strrchr(type, '.');

	return dot ? dot + 1 : type;
}

static int take_pooling(struct embed_settings *s, const char *mode, const char *where, struct err *e)
{
	bool last = !strcmp(mode, "lasttoken");
	int found = pooling_find(last ? "last" : mode);

	if (found < 0 || !strcmp(mode, "last"))
		return err_set(e, "%s: pooling by \"%.64s\", which is not computed (mean, cls, lasttoken and max are)",
		               where, mode);
	s->pooling = (enum pooling)found;
	s->said = true;
	return 0;
}

/* "pooling_mode": a word, or the older keys, one flag each. */
static int read_modes(struct embed_settings *s, const json_t *j, const char *where, struct err *e)
{
	static const struct { const char *key, *mode; } flags[] = {
		{ "pooling_mode_cls_token", "cls" },
		{ "pooling_mode_max_tokens", "max" },
		{ "pooling_mode_mean_tokens", "mean" },
		{ "pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens" },
		{ "pooling_mode_weightedmean_tokens", "weightedmean" },
		{ "pooling_mode_lasttoken", "lasttoken" },
	};
	const json_t *mode = json_object_get(j, "pooling_mode");
	const char *one = NULL;

	if (json_is_array(mode) && json_array_size(mode) == 1)
		mode = json_array_get(mode, 0);
	if (mode && !json_is_string(mode))
		return err_set(e, "%s: pooling_mode is no word: several poolings beside each other are not computed",
		               where);
	if (mode)
		return take_pooling(s, json_string_value(mode), where, e);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		if (!json_is_true(json_object_get(j, flags[i].key)))
			continue;
		if (one)
			return err_set(e, "%s: %s and %s: several poolings beside each other are not computed", where,
			               one, flags[i].key);
		one = flags[i].key;
		if (take_pooling(s, flags[i].mode, where, e) < 0)
			return -1;
	}
	return one ? 0 : take_pooling(s, "mean", where, e);
}

static int read_pooling(struct embed_settings *s, const struct model *m, const char *path, struct err *e)
{
	char *where;
	json_t *j = load(m, path, "config.json", &where, e);
	const char *key = json_object_get(j, "embedding_dimension") ? "embedding_dimension" :
	                                                              "word_embedding_dimension";
	int with_prompt = true, status = j ? 0 : -1;
	long long width = m->config.C;

	if (!j && !e->msg[0])
		err_set(e, "%s is missing, which modules.json names", where);
	if (status == 0 && (jsonx_bool(j, "include_prompt", true, &with_prompt, e) < 0 ||
	                    jsonx_int(j, key, width, &width, e) < 0))
		status = err_prefix(e, "%s", where);
	if (status == 0 && width != m->config.C)
		status = err_set(e, "%s: states of %lld numbers, the model's have %d", where, width, m->config.C);
	s->with_prompt = with_prompt;
	if (status == 0)
		status = read_modes(s, j, where, e);
	json_decref(j);
	mem_free(where);
	return status;
}

static int read_module(struct embed_settings *s, const struct model *m, const json_t *module, const char *where,
                       struct err *e)
{
	const char *type, *path;

	if (jsonx_string(module, "type", "", &type, e) < 0 || jsonx_string(module, "path", "", &path, e) < 0)
		return err_prefix(e, "%s", where);
	const char *kind = last_part(type);
	if (strstr(path, "..") || *path == '/')
		return err_set(e, "%s: the path '%.80s' is none of this folder", where, path);
	if (!strcmp(kind, "Transformer"))
		return *path ? err_set(e, "%s: the model is in %.80s: give that folder", where, path) : 0;
	if (!strcmp(kind, "Pooling"))
		return read_pooling(s, m, path, e);
	if (strcmp(kind, "Normalize") != 0)
		return err_set(e, "%s: a module \"%.80s\", which is not computed (Transformer, Pooling and Normalize "
		                  "are)", where, kind);
	s->normalize = true;
	return 0;
}

static int read_modules(struct embed_settings *s, const struct model *m, struct err *e)
{
	char *where;
	json_t *list = load(m, "", "modules.json", &where, e), *module;
	int status = e->msg[0] ? -1 : 0;
	size_t i;

	if (status == 0 && list && !json_is_array(list))
		status = err_set(e, "%s: no list of modules", where);
	json_array_foreach(list, i, module)
		if (status == 0)
			status = read_module(s, m, module, where, e);
	json_decref(list);
	mem_free(where);
	return status;
}

static int take_length(struct embed_settings *s, const json_t *j, const char *key, const char *where, struct err *e)
{
	const json_t *value = json_object_get(j, key);

	/* a tokenizer without a limit says 1e30 */
	if (!json_is_number(value) || json_number_value(value) > INT32_MAX)
		return 0;
	if (json_number_value(value) < 1)
		return err_set(e, "%s: %s is %g, wanted at least 1", where, key, json_number_value(value));
	s->max_length = MIN(s->max_length, (int32_t)json_number_value(value));
	return 0;
}

static int read_transformer(struct embed_settings *s, const struct model *m, struct err *e)
{
	char *where;
	json_t *j = load(m, "", "sentence_bert_config.json", &where, e);
	struct settings known = { .where = where, .table = transformer_known, .numbers = true };
	int status = e->msg[0] ? -1 : 0, lower = false;
	bool said = json_is_number(json_object_get(j, "max_seq_length"));

	if (status == 0 && j)
		status = settings_judge_all(&known, j, e);
	settings_tell(&known);
	if (status == 0 && jsonx_bool(j, "do_lower_case", false, &lower, e) < 0)
		status = err_prefix(e, "%s", where);
	if (status == 0)
		status = take_length(s, said ? j : m->source.tokenizer_config,
		                     said ? "max_seq_length" : "model_max_length",
		                     said ? where : "tokenizer_config.json", e);
	s->lower_case = lower;
	json_decref(j);
	mem_free(where);
	return status;
}

static int read_prompts(struct embed_settings *s, const struct model *m, struct err *e)
{
	char *where;
	json_t *text;
	const char *name;

	s->config = load(m, "", "config_sentence_transformers.json", &where, e);
	int status = e->msg[0] ? -1 : 0;
	s->prompts = json_object_get(s->config, "prompts");
	if (status == 0 && s->prompts && !json_is_null(s->prompts) && !json_is_object(s->prompts))
		status = err_set(e, "%s: prompts is no object", where);
	json_object_foreach(s->prompts, name, text)
		if (status == 0 && !json_is_string(text))
			status = err_set(e, "%s: the prompt \"%.64s\" is no text", where, name);
	if (status == 0 && jsonx_string(s->config, "default_prompt_name", NULL, &s->prompt_name, e) < 0)
		status = err_prefix(e, "%s", where);
	mem_free(where);
	return status;
}

/* --- GGUF --- */

static int read_gguf(struct embed_settings *s, const struct model *m, struct err *e)
{
	static const char *const names[] = { NULL, "mean", "cls", "lasttoken" };
	char key[160];
	int64_t type;

	snprintf(key, sizeof(key), "%s.pooling_type", m->config.arch->gguf);
	if (gguf_int(&m->source.gguf, key, false, 0, &type, e) < 0)
		return -1;
	if (type < 0 || type >= (int64_t)ARRAY_LEN(names))
		return err_set(e, "%s: %s is %lld%s, which is not computed (1 mean, 2 cls, 3 last)", m->source.path,
		               key, (long long)type, type == 4 ? ", that of a reranker" : "");
	return names[type] ? take_pooling(s, names[type], m->source.path, e) : 0;
}

void embed_settings_put_gguf(const struct model *m, struct gguf_meta *meta)
{
	static const uint32_t types[POOLINGS] = { [POOLING_MEAN] = 1, [POOLING_CLS] = 2, [POOLING_LAST] = 3 };
	struct err e = ERR_INIT;
	struct embed_settings s;
	char key[160];

	if (m->source.is_gguf || !m->config.arch->encoder)
		return;
	int status = embed_settings_read(&s, m, &e);
	if (status < 0 || !types[s.pooling]) {
		log_warn("%s: the GGUF does not say how states are pooled: %s", m->source.path,
		         status < 0 ? e.msg : "it has no word for max");
	} else {
		snprintf(key, sizeof(key), "%s.pooling_type", m->config.arch->gguf ? m->config.arch->gguf : "bert");
		gguf_put_u32(meta, key, types[s.pooling]);
	}
	if (status == 0)
		embed_settings_release(&s);
}

/* --- the whole --- */

int embed_settings_read(struct embed_settings *s, const struct model *m, struct err *e)
{
	bool encoder = m->config.arch->encoder;

	*s = (struct embed_settings){ .pooling = encoder ? POOLING_MEAN : POOLING_LAST, .max_length = m->config.n_ctx,
		                .with_prompt = true };
	int status = m->source.is_gguf ? read_gguf(s, m, e) : read_modules(s, m, e);
	if (status == 0 && !m->source.is_gguf)
		status = read_transformer(s, m, e) < 0 || read_prompts(s, m, e) < 0 ? -1 : 0;
	if (status < 0)
		embed_settings_release(s);
	return status;
}

const char *embed_settings_prompt(const struct embed_settings *s, const char *name, struct err *e)
{
	const char *wanted = name ? name : s->prompt_name;
	const json_t *text = wanted ? json_object_get(s->prompts, wanted) : NULL;
	struct buf names = BUF_INIT;
	const char *other;
	json_t *unused;

	if (!wanted)
		return "";
	if (text)
		return json_string_value(text);
	json_object_foreach(s->prompts, other, unused)
		buf_addf(&names, "%s%s", names.len ? ", " : "", other);
	err_set(e, "the model has no prompt named \"%.64s\", its prompts are: %s", wanted,
	        names.len ? buf_str(&names) : "none");
	buf_release(&names);
	return NULL;
}

/* Each character by itself, as tokenizers' Lowercase has it. */
static void add_lower(struct buf *out, const char *text, size_t n)
{
	uint32_t c;

	for (size_t at = 0, k; at < n && (k = utf8_decode(text + at, n - at, &c)); at += k)
		unicode_recase(out, text + at, k, UNICODE_LOWER);
}

void embed_settings_text(const struct embed_settings *s, const char *prompt, const char *text, size_t n,
                         struct buf *out)
{
	if (s->lower_case) {
		add_lower(out, prompt, strlen(prompt));
		add_lower(out, text, n);
		return;
	}
	buf_adds(out, prompt);
	buf_add(out, text, n);
}

void embed_settings_release(struct embed_settings *s)
{
	json_decref(s->config);
	*s = (struct embed_settings){ 0 };
}
